import type { Endpoint } from '#base/ports';
import type { BrokerListener } from '#metadata/records';

/** Where brokers reach one: the listener of that name (`inter.broker.listener.name`, in any case), else the first. */
export function interBrokerEndpoint(
  listeners: readonly BrokerListener[],
  name: string | undefined,
): Endpoint | undefined {
  const wanted = name?.toUpperCase();
  return listeners.find((listener) => listener.name === wanted) ?? listeners[0];
}
