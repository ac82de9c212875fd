/** The functions that write a struct and lists of it. */
import type { MessageSource } from './message-source.ts';
import type { ElementType, Field, Struct } from './schema.ts';
import { capital, FIXED_BYTES, listName, TYPE_NAMES } from './source-text.ts';

export function emitWriter(source: MessageSource, struct: Struct): string {
  const { name, valid } = source.message;
  const lines: string[] = [];
  if (struct === source.message.root) {
    lines.push(
      `if (!(version >= ${valid.min} && version <= ${valid.max})) throw unsupportedVersion('${name}', version);`,
    );
  }
  for (const field of struct.fields) {
    const condition = source.within(field.versions, struct.versions);
    const write = field.tag === undefined ? `${writeValue(source, field, 'writer')};` : '';
    // What an older version can not say is left out of an answer: the broker fills one answer for all versions.
    const absent =
      field.ignorable || source.message.name.endsWith('Response')
        ? ''
        : `if (${source.differs(field)}) throw unsupportedField('${struct.name}.${field.name}', version);`;
    if (condition === '') lines.push(write);
    else if (field.tag !== undefined) lines.push(absent === '' ? '' : `if (!(${condition})) { ${absent} }`);
    else lines.push(`if (${condition}) ${write}${absent === '' ? '' : `\n  else ${absent}`}`);
  }
  if (source.mayBeFlexible()) lines.push(...writeTags(source, struct));
  return source.function(
    `write${struct.name}`,
    `writer: Writer, value: ${struct.name}Input`,
    'void',
    lines.filter((line) => line !== ''),
  );
}

function writeTags(source: MessageSource, struct: Struct): string[] {
  const tagged = struct.fields.filter((field) => field.tag !== undefined);
  const flexible = source.flexible();
  const lines: string[] = [];
  if (tagged.length === 0) {
    lines.push('writer.unknownTags(value.unknownTaggedFields);');
  } else {
    lines.push(
      'const unknown = value.unknownTaggedFields ?? [];',
      'let tagCount = unknown.length;',
      'let written = 0;',
    );
    for (const field of tagged) {
      const present = [source.within(field.versions, source.flexibleVersions(struct)), source.differs(field)].filter(
        (text) => text !== '',
      );
      lines.push(`const has${capital(field.name)} = ${present.map((text) => `(${text})`).join(' && ')};`);
      lines.push(`if (has${capital(field.name)}) tagCount += 1;`);
    }
    lines.push('writer.uvarint(tagCount);');
    for (const field of tagged) {
      lines.push(
        `if (has${capital(field.name)}) {`,
        `  written = writer.unknownTagsBelow(unknown, written, ${field.tag});`,
        ...writeTag(source, field).map((line) => `  ${line}`),
        '}',
      );
    }
    lines.push('writer.unknownTagsBelow(unknown, written, Number.POSITIVE_INFINITY);');
  }
  if (flexible === 'true') return lines;
  return [
    `if (${flexible}) {`,
    ...lines.map((line) => `  ${line}`),
    '} else if ((value.unknownTaggedFields?.length ?? 0) > 0) {',
    `  throw unsupportedField('${struct.name}.unknownTaggedFields', version);`,
    '}',
  ];
}

function writeTag(source: MessageSource, field: Field): string[] {
  const size = field.type.kind === 'primitive' ? FIXED_BYTES[field.type.name] : undefined;
  if (size !== undefined) {
    return [`writer.uvarint(${field.tag});`, `writer.uvarint(${size});`, `${writeValue(source, field, 'writer')};`];
  }
  const content = `${field.name}Content`;
  return [
    `const ${content} = writer.nested();`,
    `${writeValue(source, field, content)};`,
    `writer.tagged(${field.tag}, ${content});`,
  ];
}

function writeValue(source: MessageSource, field: Field, writer: string): string {
  const { type } = field;
  let value = `value.${field.name}`;
  if (field.optional) {
    const fallback = source.defaultOf(field);
    value =
      field.nullable === undefined || fallback === 'null'
        ? `${value} ?? ${fallback}`
        : `${value} === undefined ? ${fallback} : ${value}`;
  }
  if (field.nullable !== undefined) {
    const condition = source.within(field.nullable, field.versions);
    if (condition !== '') {
      const checked = `notNull(${value}, '${field.name}')`;
      value = `${condition} ? ${value.includes(' ? ') ? `(${value})` : value} : ${checked}`;
    }
  }
  if (type.kind === 'list') {
    return source.call(writeList(source, type.of, field.nullable !== undefined), `${writer}, ${value}`);
  }
  if (type.kind === 'struct') {
    const name = field.nullable === undefined ? `write${type.struct.name}` : writeNullable(source, type.struct);
    return source.call(name, `${writer}, ${value}`);
  }
  if (FIXED_BYTES[type.name] !== undefined) return `${writer}.${type.name}(${value})`;
  const method = field.nullable === undefined ? type.name : `nullable${capital(type.name)}`;
  return `${writer}.${method}(${value}, ${field.neverFlexible ? 'false' : source.flexible()})`;
}

function writeList(source: MessageSource, of: ElementType, nullable: boolean): string {
  const name = `write${nullable ? 'Nullable' : ''}${listName(of)}`;
  const element = of.kind === 'struct' ? `${of.struct.name}Input` : TYPE_NAMES[of.name];
  let write: string;
  if (of.kind === 'struct') write = source.call(`write${of.struct.name}`, 'writer, item');
  else if (FIXED_BYTES[of.name] !== undefined) write = `writer.${of.name}(item)`;
  else write = `writer.${of.name}(item, ${source.flexible()})`;
  const lines = [
    ...(nullable ? [`if (list === null) return writer.count(-1, ${source.flexible()});`] : []),
    `writer.count(list.length, ${source.flexible()});`,
    `for (const item of list) ${write};`,
  ];
  const parameters = `writer: Writer, list: readonly ${element}[]${nullable ? ' | null' : ''}`;
  source.helpers.set(name, source.function(name, parameters, 'void', lines));
  return name;
}

function writeNullable(source: MessageSource, struct: Struct): string {
  const name = `writeNullable${struct.name}`;
  const lines = [
    'writer.int8(value === null ? -1 : 1);',
    `if (value !== null) ${source.call(`write${struct.name}`, 'writer, value')};`,
  ];
  source.helpers.set(name, source.function(name, `writer: Writer, value: ${struct.name}Input | null`, 'void', lines));
  return name;
}
