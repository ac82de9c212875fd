import { Reader } from '#protocol/reader';
import { readProduceRequest, writeProduceRequest } from '#protocol/generated/produce-request';
console.time('load');
await import('#protocol/generated/codecs');
console.timeEnd('load');
