import type { Endpoint } from '#base/ports';
import type { BrokerListener } from '#metadata/records';

/** Where brokers reach one: the listener of that name (`inter.broker.listener.name`), else the first. */
export function interBrokerEndpoint(
  listeners: readonly BrokerListener[],
  name: string | undefined,
): Endpoint | undefined {
  return (name === undefined ? undefined : listeners.find((listener) => listener.name === name)) ?? listeners[0];
}
