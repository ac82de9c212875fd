/** The operations that a client is told it may do (KIP-430), one bit each by AclOperation's number; without an authoriser, all that the resource has. */
const AclOperation = {
  Read: 3,
  Write: 4,
  Create: 5,
  Delete: 6,
  Alter: 7,
  Describe: 8,
  ClusterAction: 9,
  DescribeConfigs: 10,
  AlterConfigs: 11,
  IdempotentWrite: 12,
} as const;

/** The answer where the request did not ask: the field's default. */
export const NOT_ASKED_OPERATIONS = -0x8000_0000;

function bits(...operations: number[]): number {
  return operations.reduce((sum, operation) => sum | (1 << operation), 0);
}

const { Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite } =
  AclOperation;
export const TOPIC_OPERATIONS = bits(Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs);
export const CLUSTER_OPERATIONS = bits(
  Create,
  Alter,
  Describe,
  ClusterAction,
  DescribeConfigs,
  AlterConfigs,
  IdempotentWrite,
);
export const GROUP_OPERATIONS = bits(Read, Delete, Describe, DescribeConfigs, AlterConfigs);
