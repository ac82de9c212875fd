/** `NAME://host:port`, as `listeners` and `advertised.listeners` spell an address. */
export interface ListenerAddress {
  readonly name: string;
  /** Empty: every interface. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

const SHAPE = /^([A-Za-z0-9_.-]+):\/\/(\[[0-9A-Fa-f:.%]+\]|[^:/[\]]*):(\d{1,5})$/;

export function parseListener(text: string): ListenerAddress | undefined {
  const match = SHAPE.exec(text.trim());
  if (match === null) return undefined;
  const [, name = '', host = '', digits = ''] = match;
  const port = Number(digits);
  return port > 0xffff ? undefined : { name: name.toUpperCase(), host: host.replace(/^\[|\]$/g, ''), port };
}

/** `host:port`; an IPv6 host stands in brackets. */
export function parseEndpoint(text: string): { readonly host: string; readonly port: number } | undefined {
  return parseListener(`ENDPOINT://${text.trim()}`);
}

/** A value of `listeners`: every part an address, no name and no fixed port twice. */
export function checkListeners(parts: readonly string[]): string | undefined {
  const names = new Set<string>();
  const ports = new Set<string>();
  for (const part of parts) {
    const listener = parseListener(part);
    if (listener === undefined) return `"${part}" is not of the form NAME://host:port, the port at most 65535`;
    const place = `${listener.host}:${listener.port}`;
    if (names.has(listener.name)) return `Each listener must have a different name: ${listener.name}`;
    if (listener.port !== 0 && ports.has(place)) return `Each listener must have a different port: ${place}`;
    names.add(listener.name);
    ports.add(place);
  }
  return undefined;
}

/** By which brokers reach one: the listener of that name (`inter.broker.listener.name`, in any case), else the first. */
export function interBrokerListener<Named extends { readonly name: string }>(
  listeners: readonly Named[],
  name: string | undefined,
): Named | undefined {
  const wanted = name?.toUpperCase();
  return listeners.find((listener) => listener.name === wanted) ?? listeners[0];
}
