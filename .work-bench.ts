import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { readProduceRequest, writeProduceRequest } from '#protocol/generated/produce-request';
import { readFetchRequest, writeFetchRequest } from '#protocol/generated/fetch-request';
import { writeFetchResponse } from '#protocol/generated/fetch-response';
import { readMetadataResponse, writeMetadataResponse } from '#protocol/generated/metadata-response';
import { walkRecords, iterateRecords } from '#protocol/records';
import { readBatchHeader } from '#protocol/record-batch';
import { validateProducedBatches } from '#protocol/produced-batches';
import { buildBatch } from '#protocol/record-batch-builder';
import { createCodecs } from '#platform/codecs';
const codecs = createCodecs();
function bench(name: string, n: number, f: () => unknown) {
  for (let i = 0; i < n / 5; i++) f();
  const t = process.hrtime.bigint();
  for (let i = 0; i < n; i++) f();
  const ns = Number(process.hrtime.bigint() - t) / n;
  console.log(name, ns < 10000 ? ns.toFixed(0) + ' ns' : (ns / 1000).toFixed(1) + ' us');
}
const bytesOf = (f: (w: Writer) => void) => { const w = new Writer(); f(w); return new Uint8Array(Buffer.concat(w.chunks())); };
const batch = new Uint8Array(16384);
const produce = { transactionalId: null, acks: -1, timeoutMs: 30000, topicData: [{ name: 'perf-topic-1', partitionData: [0, 1, 2, 3, 4, 5].map((index) => ({ index, records: [batch] })) }] };
const p = bytesOf((w) => writeProduceRequest(w, produce, 9));
bench('read produce 6 partitions', 200000, () => readProduceRequest(new Reader(p), 9));
const fetch = { maxWaitMs: 500, minBytes: 1, topics: [{ topic: 'perf-topic-1', partitions: Array.from({ length: 100 }, (_, i) => ({ partition: i, fetchOffset: 100000 + i, partitionMaxBytes: 1 << 20, currentLeaderEpoch: 3 })) }] };
const f = bytesOf((w) => writeFetchRequest(w, fetch, 12));
bench('read fetch 100 partitions', 50000, () => readFetchRequest(new Reader(f), 12));
bench('write fetch 100 partitions', 50000, () => { const w = new Writer(); writeFetchRequest(w, fetch, 12); return w.chunks(); });
const resp = { responses: [{ topic: 'perf-topic-1', partitions: Array.from({ length: 6 }, (_, i) => ({ partitionIndex: i, errorCode: 0, highWatermark: 123456789, lastStableOffset: 123456789, logStartOffset: 0, abortedTransactions: null, records: [batch] })) }] };
bench('write fetch response 6 partitions', 200000, () => { const w = new Writer(); writeFetchResponse(w, resp, 12); return w.chunks(); });
const md = { brokers: [{ nodeId: 1, host: 'localhost', port: 9092 }], clusterId: 'abcdefghijklmnopqrstuv', topics: Array.from({ length: 100 }, (_, t) => ({ errorCode: 0, name: 'some-topic-name-' + t, partitions: Array.from({ length: 10 }, (_, i) => ({ errorCode: 0, partitionIndex: i, leaderId: 1, leaderEpoch: 4, replicaNodes: [1, 2, 3], isrNodes: [1, 2, 3], offlineReplicas: [] })) })) };
bench('write metadata 1000 partitions', 2000, () => { const w = new Writer(); writeMetadataResponse(w, md, 12); return w.chunks(); });
const m = bytesOf((w) => writeMetadataResponse(w, md, 12));
bench('read metadata 1000 partitions', 2000, () => readMetadataResponse(new Reader(m), 12));
const rec = (n: number) => Array.from({ length: n }, (_, i) => ({ timestamp: 1700000000000 + i, key: null, value: new Uint8Array(100) }));
for (const n of [1, 150]) {
  const b = buildBatch({ baseOffset: 0, leaderEpoch: -1, records: rec(n) }, codecs);
  const h = readBatchHeader(b, 0); if (typeof h === 'string') throw 1;
  bench(`readBatchHeader`, 500000, () => readBatchHeader(b, 0));
  bench(`walk ${n} records`, 50000, () => walkRecords(b.subarray(61), h, true));
  const limits = { maxMessageBytes: 1e6, logAppendTime: false, nowMs: 1700000000000, timestampBeforeMaxMs: Infinity, timestampAfterMaxMs: 3600000, keysRequired: false, zstdAllowed: true };
  bench(`validate ${n} records`, 50000, () => validateProducedBatches(b, limits, codecs));
  bench(`build ${n} records`, 10000, () => buildBatch({ baseOffset: 0, leaderEpoch: -1, records: rec(1) }, codecs));
  bench(`iterate ${n} records`, 10000, () => { let s = 0; for (const r of iterateRecords(b, h, codecs, 1e6) as Iterable<{offset:number}>) s += r.offset; return s; });
}
for (const s of ['t', 'perf-topic-1', 'a-rather-long-topic-name-of-forty-chars-x', 'x'.repeat(200), 'é'.repeat(20)]) {
  const b = bytesOf((w) => w.string(s, true));
  bench(`read string ${s.length}`, 2000000, () => new Reader(b).string(true));
  const w0 = new Writer(65536);
  bench(`write string ${s.length}`, 500000, () => new Writer().string(s, true));
}
bench('new Reader', 2000000, () => new Reader(p));
bench('new Writer', 2000000, () => new Writer());
