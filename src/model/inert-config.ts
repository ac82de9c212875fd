/**
 * Kafka's broker configs that mean nothing here (threads, purgatories, socket buffers, coordinators still to come) and do no harm
 * when they are left out: files written for Kafka are read with a warning for each. What would weaken a cluster if it were
 * silently ignored (security, tiering, placement) is not in this list and is refused as unknown.
 */
export const INERT_BROKER_CONFIGS: ReadonlySet<string> = new Set([
  'background.threads',
  'controller.quorum.append.linger.ms',
  'controller.quorum.election.backoff.max.ms',
  'controller.quorum.election.timeout.ms',
  'controller.quorum.fetch.timeout.ms',
  'controller.quorum.request.timeout.ms',
  'controller.quorum.retry.backoff.ms',
  'controller.socket.timeout.ms',
  'fetch.purgatory.purge.interval.requests',
  'group.coordinator.append.linger.ms',
  'group.coordinator.background.threads',
  'group.coordinator.cached.buffer.max.bytes',
  'group.coordinator.threads',
  'initial.broker.registration.timeout.ms',
  'kafka.metrics.polling.interval.secs',
  'kafka.metrics.reporters',
  'log.cleaner.io.buffer.load.factor',
  'log.cleaner.io.buffer.size',
  'log.dir.failure.timeout.ms',
  'log.flush.offset.checkpoint.interval.ms',
  'log.flush.start.offset.checkpoint.interval.ms',
  'metadata.log.segment.bytes',
  'metadata.log.segment.ms',
  'metadata.max.idle.interval.ms',
  'metadata.max.retention.bytes',
  'metadata.max.retention.ms',
  'metric.reporters',
  'metrics.num.samples',
  'metrics.recording.level',
  'metrics.sample.window.ms',
  'num.io.threads',
  'num.network.threads',
  'num.recovery.threads.per.data.dir',
  'num.replica.alter.log.dirs.threads',
  'num.replica.fetchers',
  'offsets.load.buffer.size',
  'offsets.topic.compression.codec',
  'producer.purgatory.purge.interval.requests',
  'queued.max.requests',
  'quota.window.num',
  'quota.window.size.seconds',
  'replica.fetch.backoff.ms',
  'replica.high.watermark.checkpoint.interval.ms',
  'replica.socket.receive.buffer.bytes',
  'replica.socket.timeout.ms',
  'share.coordinator.state.topic.min.isr',
  'share.coordinator.state.topic.num.partitions',
  'share.coordinator.state.topic.replication.factor',
  'share.coordinator.state.topic.segment.bytes',
  'socket.listen.backlog.size',
  'socket.receive.buffer.bytes',
  'socket.send.buffer.bytes',
  'transaction.state.log.load.buffer.size',
]);

/** Kafka's configs that are read with `listeners`: which of them are the controller's, and which ask for TLS or SASL. */
export const LISTENER_CONFIGS: ReadonlySet<string> = new Set([
  'controller.listener.names',
  'listener.security.protocol.map',
]);

/** What guards a cluster of Kafka's and is not there yet, by its config: refused wherever it stands, unless it is empty. */
export const MISSING_GUARDS: ReadonlyMap<string, string> = new Map([
  ['alter.config.policy.class.name', 'a policy for configs'],
  ['authorizer.class.name', 'an authorizer'],
  ['create.topic.policy.class.name', 'a policy for new topics'],
]);
