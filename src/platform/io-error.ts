import type { IoError, IoErrorCode } from '#base/ports';

/** The system's codes as the ports know them; what is not named here is EIO. */
const CODES: Readonly<Record<string, IoErrorCode>> = {
  ENOSPC: 'ENOSPC',
  EDQUOT: 'ENOSPC',
  EIO: 'EIO',
  ENOENT: 'ENOENT',
  ENOTDIR: 'ENOENT',
  EEXIST: 'EEXIST',
  ENOTEMPTY: 'EEXIST',
  EADDRINUSE: 'EEXIST',
  EMFILE: 'EMFILE',
  ENFILE: 'EMFILE',
  EACCES: 'EACCES',
  EPERM: 'EACCES',
  EROFS: 'EACCES',
};

export function ioError(code: IoErrorCode, message: string, cause?: unknown): IoError {
  return Object.assign(new Error(`${code}: ${message}`, cause === undefined ? undefined : { cause }), { code });
}

/** Any failure of node:fs or node:net as the ports' IoError, the original being its cause. */
export function toIoError(failure: unknown): IoError {
  const { code = '', message = String(failure) } = failure as NodeJS.ErrnoException;
  return ioError(CODES[code] ?? 'EIO', message, failure);
}
