import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../../support/odradek-process.ts';
import { type Outcome, run } from '../../support/process.ts';
import type { Broker } from './broker.ts';

export const Tool = {
  BrokerApiVersions: 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  ClientCompatibility: 'org.apache.kafka.tools.ClientCompatibilityTest',
  Cluster: 'org.apache.kafka.tools.ClusterTool',
  Config: 'kafka.admin.ConfigCommand',
  ConnectStandalone: 'org.apache.kafka.connect.cli.ConnectStandalone',
  ConsoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  ConsoleProducer: 'org.apache.kafka.tools.ConsoleProducer',
  ConsumerGroup: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  ConsumerPerformance: 'org.apache.kafka.tools.ConsumerPerformance',
  DeleteRecords: 'org.apache.kafka.tools.DeleteRecordsCommand',
  DumpLogSegments: 'org.apache.kafka.tools.DumpLogSegments',
  EndToEndLatency: 'org.apache.kafka.tools.EndToEndLatency',
  Feature: 'org.apache.kafka.tools.FeatureCommand',
  GetOffsetShell: 'org.apache.kafka.tools.GetOffsetShell',
  Groups: 'org.apache.kafka.tools.GroupsCommand',
  LeaderElection: 'org.apache.kafka.tools.LeaderElectionCommand',
  LogCompaction: 'org.apache.kafka.tools.LogCompactionTester',
  LogDirs: 'org.apache.kafka.tools.LogDirsCommand',
  MetadataQuorum: 'org.apache.kafka.tools.MetadataQuorumCommand',
  ProducerPerformance: 'org.apache.kafka.tools.ProducerPerformance',
  ReassignPartitions: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  ReplicaVerification: 'org.apache.kafka.tools.ReplicaVerificationTool',
  StreamsGroup: 'org.apache.kafka.tools.streams.StreamsGroupCommand',
  Topic: 'org.apache.kafka.tools.TopicCommand',
  TransactionalMessageCopier: 'org.apache.kafka.tools.TransactionalMessageCopier',
  Transactions: 'org.apache.kafka.tools.TransactionsCommand',
  VerifiableConsumer: 'org.apache.kafka.tools.VerifiableConsumer',
  VerifiableProducer: 'org.apache.kafka.tools.VerifiableProducer',
} as const;
export type Tool = (typeof Tool)[keyof typeof Tool];

export interface ToolOptions {
  readonly timeoutMs?: number;
  readonly input?: string;
}

/** Runs one of Apache Kafka's command-line tools in a JVM of its own, to its end. */
export function runTool(
  jars: string,
  tool: Tool,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<Outcome> {
  return run('java', javaCommand(jars, tool, args), { timeoutMs: 60_000, ...options });
}

/** The arguments of `java` for a class of the jars, or for a source file, set for a quick start. */
export function javaCommand(jars: string, main: string, args: readonly string[]): readonly string[] {
  const logging = join(repositoryRoot, 'test/support/apache-kafka/log4j2.xml');
  const jvm = ['-Xmx384M', '-Xshare:auto', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  return [...jvm, `-Dlog4j2.configurationFile=${logging}`, '-cp', join(jars, '*'), main, ...args];
}

export interface Expectation extends ToolOptions {
  readonly prints?: RegExp;
  readonly printsNot?: RegExp;
  /** Set where the tool's exit status says nothing. */
  readonly anyStatus?: boolean;
}

/** A tool's arguments, from the pair that tells it where the broker is. */
export type Arguments = (at: readonly string[]) => readonly string[];

export interface ToolChecks {
  readonly expectTool: (tool: Tool, args: Arguments, expectation?: Expectation) => Promise<void>;
  /** A test that is one call of one tool. */
  readonly check: (title: string, tool: Tool, args: Arguments, expectation?: Expectation) => void;
}

export function toolChecks(jars: string, broker: () => Broker): ToolChecks {
  const expectTool: ToolChecks['expectTool'] = async (tool, args, expectation = {}) => {
    const outcome = await runTool(jars, tool, args(['--bootstrap-server', broker().bootstrap]), expectation);
    if (expectation.anyStatus !== true) expect(outcome.status, outcome.output).toBe(0);
    if (expectation.prints !== undefined) expect(outcome.output).toMatch(expectation.prints);
    if (expectation.printsNot !== undefined) expect(outcome.output).not.toMatch(expectation.printsNot);
  };
  const check: ToolChecks['check'] = (title, tool, args, expectation) => {
    test(title, () => expectTool(tool, args, expectation));
  };
  return { expectTool, check };
}
