/** libuv's threads: parallel fsyncs of the data and one for the metadata log, beside reads. */
export const POOL_THREADS = 8;
