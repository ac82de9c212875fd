/** The functions that read a struct and lists of it. */
import type { MessageSource } from './message-source.ts';
import type { ElementType, Field, Struct, Type } from './schema.ts';
import { capital, FIXED_BYTES, listName, local, TYPE_NAMES, typeText, versionsOf } from './source-text.ts';

export function emitReader(source: MessageSource, struct: Struct): string {
  const { name, valid } = source.message;
  const lines: string[] = [];
  if (struct === source.message.root) {
    lines.push(
      `if (!(version >= ${valid.min} && version <= ${valid.max})) throw unsupportedVersion('${name}', version);`,
    );
  }
  const plain = struct.fields.filter((field) => field.tag === undefined);
  const tagged = struct.fields.filter((field) => field.tag !== undefined);
  for (const field of plain) {
    const condition = source.within(field.versions, struct.versions);
    const value = readValue(source, field);
    const declared = `const ${local(field)}: ${typeText(field, '')}`;
    lines.push(`${declared} = ${condition === '' ? value : `${condition} ? ${value} : ${source.defaultOf(field)}`};`);
  }
  if (source.mayBeFlexible()) lines.push(...readTags(source, struct, tagged));
  const names = struct.fields.map((f) => (local(f) === f.name ? f.name : `${f.name}: ${local(f)}`));
  if (source.mayBeFlexible()) names.push('unknownTaggedFields');
  lines.push(`return { ${names.join(', ')} };`);
  return source.function(`read${struct.name}`, 'reader: Reader', struct.name, lines);
}

function readTags(source: MessageSource, struct: Struct, tagged: readonly Field[]): string[] {
  const flexible = source.flexible();
  if (tagged.length === 0) {
    const read = 'reader.unknownTags()';
    return [`const unknownTaggedFields = ${flexible === 'true' ? read : `${flexible} ? ${read} : undefined`};`];
  }
  const lines = tagged.map((field) => `let ${local(field)}: ${typeText(field, '')} = ${source.defaultOf(field)};`);
  lines.push('let unknownTaggedFields: TaggedField[] | undefined;');
  const branches = tagged.map((field) => {
    const known = source.within(field.versions, source.flexibleVersions(struct));
    const condition = [`tag === ${field.tag}`, known].filter((text) => text !== '').join(' && ');
    return `    if (${condition}) ${local(field)} = ${readValue(source, field)};\n    else`;
  });
  const loop = [
    'for (let left = reader.uvarint(); left > 0; left -= 1) {',
    '    const tag = reader.uvarint();',
    '    const end = reader.tagEnd();',
    `${branches.join(' ').replaceAll('else     if', 'else if')} unknownTaggedFields = reader.unknownTag(unknownTaggedFields, tag, end);`,
    '    reader.expectTagEnd(end);',
    '  }',
  ].join('\n');
  lines.push(flexible === 'true' ? loop : `if (${flexible}) ${loop}`);
  return lines;
}

function readValue(source: MessageSource, field: Field): string {
  if (field.nullable === undefined) return readType(source, field, false);
  const nullable = readType(source, field, true);
  const condition = source.within(field.nullable, field.versions);
  return condition === '' ? nullable : `(${condition} ? ${nullable} : ${readType(source, field, false)})`;
}

function readType(source: MessageSource, field: Field, nullable: boolean): string {
  const { type } = field;
  if (type.kind === 'list') return readList(source, type.of, nullable);
  const one = readOne(source, type, nullable, field.neverFlexible);
  return nullable && type.kind === 'struct' ? `reader.isNull() ? null : ${one}` : one;
}

function readOne(source: MessageSource, type: ElementType, nullable: boolean, neverFlexible: boolean): string {
  if (type.kind === 'struct') return source.call(`read${type.struct.name}`, 'reader');
  if (FIXED_BYTES[type.name] !== undefined) return `reader.${type.name}()`;
  const method = nullable ? `nullable${capital(type.name)}` : type.name;
  return `reader.${method}(${neverFlexible ? 'false' : source.flexible()})`;
}

function readList(source: MessageSource, of: ElementType, nullable: boolean): string {
  const name = `read${nullable ? 'Nullable' : ''}${listName(of)}`;
  const element = of.kind === 'struct' ? of.struct.name : TYPE_NAMES[of.name];
  const bytesMin = Math.min(...versionsOfList(source, of).map((version) => typeBytesMin(source, of, version)));
  if (!(bytesMin >= 1)) throw new Error(`${source.message.name}: elements of ${name} may take no bytes`);
  const lines = [
    `const count = reader.${nullable ? 'nullableCount' : 'count'}(${source.flexible()}, ${bytesMin});`,
    ...(nullable ? ['if (count < 0) return null;'] : []),
    ...(of.kind === 'primitive' && FIXED_BYTES[of.name] !== undefined && of.name !== 'uuid'
      ? []
      : ['reader.hold(count);']),
    `const list: ${element}[] = [];`,
    `for (let i = 0; i < count; i += 1) list.push(${readOne(source, of, false, false)});`,
    'return list;',
  ];
  source.helpers.set(name, source.function(name, 'reader: Reader', `${element}[]${nullable ? ' | null' : ''}`, lines));
  return source.call(name, 'reader');
}

/** The versions in which some field is a list of such elements. */
function versionsOfList(source: MessageSource, of: ElementType): number[] {
  const fields = source.message.structs.flatMap((struct) => struct.fields);
  const lists = fields.filter((f) => f.type.kind === 'list' && listName(f.type.of) === listName(of));
  return lists.flatMap((field) => versionsOf(field.versions));
}

function typeBytesMin(source: MessageSource, type: Type, version: number): number {
  const flexible = version >= source.message.flexibleFrom;
  if (type.kind === 'list') return flexible ? 1 : 4;
  if (type.kind === 'primitive') {
    return FIXED_BYTES[type.name] ?? (flexible ? 1 : type.name === 'string' ? 2 : 4);
  }
  return structBytesMin(source, type.struct, version);
}

function structBytesMin(source: MessageSource, struct: Struct, version: number): number {
  let bytes = version >= source.message.flexibleFrom ? 1 : 0;
  for (const field of struct.fields) {
    if (field.tag !== undefined || version < field.versions.min || version > field.versions.max) continue;
    bytes +=
      field.type.kind === 'struct' && field.nullable !== undefined ? 1 : typeBytesMin(source, field.type, version);
  }
  return bytes;
}
