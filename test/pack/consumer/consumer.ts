/** What a user's test looks like: a cluster in this process, here until stdin ends. */
import { Node } from 'odradek';
import { startCluster } from 'odradek/testing';

await using cluster = await startCluster();
const bootstrapServers: string = cluster.bootstrapServers;
// @ts-expect-error The types are there: without them this would be `any`, and no error.
const notANumber: number = cluster.bootstrapServers;

console.log(JSON.stringify({ bootstrapServers, same: notANumber === Number(bootstrapServers), node: typeof Node }));
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('end', resolve));
