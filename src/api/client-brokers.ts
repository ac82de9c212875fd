import type { MetadataImage } from '#metadata/image';
import type { NodeId } from '#model/ids';
import type { Broker } from '#runtime/broker';

export interface ClientBroker {
  readonly nodeId: NodeId;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
  readonly fenced: boolean;
}

/** The live brokers by the listener that the asking client uses. */
export function clientBrokers(image: MetadataImage, listenerName: string): ClientBroker[] {
  return registeredBrokers(image, listenerName).filter(({ fenced }) => !fenced);
}

/** Also those that are fenced. */
export function registeredBrokers(image: MetadataImage, listenerName: string): ClientBroker[] {
  return [...image.brokers.values()].flatMap(({ id, rack, fenced, listeners }) => {
    const listener = listeners.find(({ name }) => name === listenerName);
    return listener === undefined ? [] : [{ nodeId: id, host: listener.host, port: listener.port, rack, fenced }];
  });
}

/** Whom clients are told to send what the controller decides. Any broker passes it on: this one, if the controller is none that they reach. */
export function controllerFor({ controller, nodeId }: Broker, brokers: readonly ClientBroker[]): number {
  return brokers.find((broker) => broker.nodeId === controller.controllerId)?.nodeId ?? nodeId;
}
