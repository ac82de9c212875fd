/** What became of a file's content: never an exception, because a disk may hold anything. */
export type Parsed<T> = { readonly value: T; readonly error?: never } | { readonly error: string };
