/**
 * What a schema allows, type by type: each case is one JSON type with all that its value must keep to. A schema is a list of cases,
 * of which one must hold. Knows no keyword's name and no grammar.
 */
import type { Node } from "./nodes.ts";
import type { Bound } from "./ranges.ts";

export interface Pattern {
  readonly source: string;
  /** The pattern describes the whole text; else it occurs in it. */
  readonly whole: boolean;
  readonly place: string;
}

/** Why no grammar can keep to the case, where one cannot. */
interface Refusable {
  readonly refused?: string;
}

export interface NullCase extends Refusable {
  readonly type: "null";
}

export interface BooleanCase extends Refusable {
  readonly type: "boolean";
  readonly values: readonly boolean[];
}

/** A step and the place that says so. */
export interface Step {
  readonly step: number;
  readonly place: string;
}

export interface NumberCase extends Refusable {
  readonly type: "number";
  readonly low: Bound;
  readonly high: Bound;
  /** Whole numbers only, others only, or both. */
  readonly whole: boolean | null;
  readonly steps: readonly Step[];
  /** What it must not be a multiple of. */
  readonly unlike: readonly Step[];
  readonly values: readonly number[] | null;
  readonly except: readonly number[];
}

export interface StringCase extends Refusable {
  readonly type: "string";
  readonly least: number;
  readonly most: number;
  readonly matching: readonly Pattern[];
  readonly unlike: readonly Pattern[];
  readonly values: readonly string[] | null;
  readonly except: readonly string[];
}

export interface Contained {
  readonly node: Node;
  /** Only items from here on count. */
  readonly from: number;
  readonly least: number;
  readonly most: number;
}

export interface ArrayCase extends Refusable {
  readonly type: "array";
  readonly prefix: readonly Node[];
  readonly items: Node;
  readonly least: number;
  readonly most: number;
  readonly contains: readonly Contained[];
  /** Where all items have to differ. */
  readonly unique: string | null;
  /** Items that keywords have looked at: the first ones, and those that match. */
  readonly seen: { readonly first: number; readonly matching: readonly Node[] };
}

/** Properties by name, by pattern, and all others. */
export interface Layer {
  readonly named: ReadonlyMap<string, Node>;
  readonly patterns: readonly { readonly pattern: Pattern; readonly node: Node }[];
  /** Null where nothing is said of them. */
  readonly other: Node | null;
  /** Whether a person listed the names as those that there are. */
  readonly lists: boolean;
}

/** Some property must be there: its name is in `names`, and its value matches. */
export interface Witness {
  readonly names:
    | { readonly pattern: Pattern }
    | { readonly besides: Layer }
    /** Names that do not match. */
    | { readonly unlike: Node };
  readonly node: Node;
  readonly place: string;
}

export interface ObjectCase extends Refusable {
  readonly type: "object";
  readonly layers: readonly Layer[];
  readonly required: ReadonlySet<string>;
  readonly least: number;
  readonly most: number;
  readonly names: readonly Node[];
  readonly some: readonly Witness[];
  /** Properties that keywords have looked at. */
  readonly seen: { readonly all: boolean; readonly names: ReadonlySet<string>; readonly patterns: readonly Pattern[] };
}

export type Case = NullCase | BooleanCase | NumberCase | StringCase | ArrayCase | ObjectCase;

const INFINITE = Number.POSITIVE_INFINITY;

export const ANY_NULL: NullCase = { type: "null" };
export const ANY_BOOLEAN: BooleanCase = { type: "boolean", values: [true, false] };
export const ANY_NUMBER: NumberCase = {
  type: "number",
  low: { value: -INFINITE, closed: true },
  high: { value: INFINITE, closed: true },
  whole: null,
  steps: [],
  unlike: [],
  values: null,
  except: [],
};
export const ANY_STRING: StringCase = {
  type: "string",
  least: 0,
  most: INFINITE,
  matching: [],
  unlike: [],
  values: null,
  except: [],
};

export const anyArray = (anything: Node): ArrayCase => ({
  type: "array",
  prefix: [],
  items: anything,
  least: 0,
  most: INFINITE,
  contains: [],
  unique: null,
  seen: { first: 0, matching: [] },
});
export const ANY_OBJECT: ObjectCase = {
  type: "object",
  layers: [],
  required: new Set(),
  least: 0,
  most: INFINITE,
  names: [],
  some: [],
  seen: { all: false, names: new Set(), patterns: [] },
};

export const layer = (parts: Partial<Layer>): Layer => ({
  named: new Map(),
  patterns: [],
  other: null,
  lists: false,
  ...parts,
});

/** The same value of one of the lists once. */
function joined<T>(a: readonly T[], b: readonly T[]): readonly T[] {
  if (a.length === 0) return b;
  return b.length === 0 ? a : [...new Set([...a, ...b])];
}

const shared = <T>(a: readonly T[] | null, b: readonly T[] | null): readonly T[] | null =>
  a === null ? b : b === null ? a : a.filter((each) => b.includes(each));

const higher = (a: Bound, b: Bound): Bound => (a.value > b.value || (a.value === b.value && !a.closed) ? a : b);
const lower = (a: Bound, b: Bound): Bound => (a.value < b.value || (a.value === b.value && !a.closed) ? a : b);

/** Both at once, for cases of one type; null where nothing can be both, as far as is seen at once. */
export function bothOf(a: Case, b: Case, all: (nodes: readonly Node[]) => Node): Case | null {
  if (a.type !== b.type) return null;
  const refused = a.refused ?? b.refused;
  const more: Refusable = refused === undefined ? {} : { refused };
  const made = together(a, b, all);
  return made === null ? null : { ...made, ...more };
}

function together(a: Case, b: Case, all: (nodes: readonly Node[]) => Node): Case | null {
  switch (a.type) {
    case "null":
      return a;
    case "boolean": {
      const values = a.values.filter((each) => (b as BooleanCase).values.includes(each));
      return values.length === 0 ? null : { ...a, values };
    }
    case "number":
      return numbers(a, b as NumberCase);
    case "string":
      return strings(a, b as StringCase);
    case "array":
      return arrays(a, b as ArrayCase, all);
    case "object":
      return objects(a, b as ObjectCase);
  }
}

function numbers(a: NumberCase, b: NumberCase): NumberCase | null {
  if (a.whole !== null && b.whole !== null && a.whole !== b.whole) return null;
  const made: NumberCase = {
    type: "number",
    low: higher(a.low, b.low),
    high: lower(a.high, b.high),
    whole: a.whole ?? b.whole,
    steps: joined(a.steps, b.steps),
    unlike: joined(a.unlike, b.unlike),
    values: shared(a.values, b.values),
    except: joined(a.except, b.except),
  };
  const { low, high } = made;
  if (low.value > high.value || (low.value === high.value && !(low.closed && high.closed))) return null;
  const values = made.values?.filter((value) => isNumberOf(made, value)) ?? null;
  return values?.length === 0 ? null : { ...made, values };
}

/** Whether a number keeps to all but the list of values. */
export function isNumberOf({ low, high, whole, steps, unlike, except }: NumberCase, value: number): boolean {
  if (value < low.value || value > high.value || except.includes(value)) return false;
  if ((value === low.value && !low.closed) || (value === high.value && !high.closed)) return false;
  const isMultiple = ({ step }: Step) => Number.isInteger(value / step);
  return (whole === null || Number.isInteger(value) === whole) && steps.every(isMultiple) && !unlike.some(isMultiple);
}

function strings(a: StringCase, b: StringCase): StringCase | null {
  const made: StringCase = {
    type: "string",
    least: Math.max(a.least, b.least),
    most: Math.min(a.most, b.most),
    matching: joined(a.matching, b.matching),
    unlike: joined(a.unlike, b.unlike),
    values: shared(a.values, b.values),
    except: joined(a.except, b.except),
  };
  if (made.least > made.most) return null;
  const except = new Set(made.except);
  const fits = (text: string) => {
    const length = Array.from(text).length;
    return length >= made.least && length <= made.most && !except.has(text);
  };
  const values = made.values?.filter(fits) ?? null;
  return values?.length === 0 ? null : { ...made, values };
}

/** What item `i` must match. */
export const itemOf = ({ prefix, items }: Pick<ArrayCase, "prefix" | "items">, i: number): Node => prefix[i] ?? items;

function arrays(a: ArrayCase, b: ArrayCase, all: (nodes: readonly Node[]) => Node): ArrayCase | null {
  const length = Math.max(a.prefix.length, b.prefix.length);
  const prefix = Array.from({ length }, (_, i) => all([itemOf(a, i), itemOf(b, i)]));
  const items = all([a.items, b.items]);
  const never = [...prefix, items].findIndex(({ kind }) => kind === "nothing");
  const made: ArrayCase = {
    type: "array",
    prefix,
    items,
    least: Math.max(a.least, b.least),
    most: Math.min(a.most, b.most, never < 0 ? INFINITE : never),
    contains: joined(a.contains, b.contains),
    unique: a.unique ?? b.unique,
    seen: {
      first: Math.max(a.seen.first, b.seen.first),
      matching: joined(a.seen.matching, b.seen.matching),
    },
  };
  return made.least > made.most ? null : made;
}

function objects(a: ObjectCase, b: ObjectCase): ObjectCase | null {
  const made: ObjectCase = {
    type: "object",
    layers: joined(a.layers, b.layers),
    required: b.required.size === 0 ? a.required : new Set([...a.required, ...b.required]),
    least: Math.max(a.least, b.least),
    most: Math.min(a.most, b.most),
    names: joined(a.names, b.names),
    some: joined(a.some, b.some),
    seen: {
      all: a.seen.all || b.seen.all,
      names: new Set([...a.seen.names, ...b.seen.names]),
      patterns: joined(a.seen.patterns, b.seen.patterns),
    },
  };
  return Math.max(made.least, made.required.size) > made.most ? null : made;
}

/** Each case once. */
export function distinct(cases: readonly Case[]): readonly Case[] {
  if (cases.length < 2) return cases;
  const known = new Map<string, Case>();
  for (const each of cases) {
    const key = JSON.stringify(each, plain);
    if (!known.has(key)) known.set(key, each);
  }
  return [...known.values()];
}

function plain(_: string, value: unknown): unknown {
  if (value === INFINITE || value === -INFINITE) return String(value);
  if (value instanceof Set) return ["set", ...(value as ReadonlySet<string>)].sort();
  if (value instanceof Map) return ["map", ...value];
  if (typeof value === "object" && value !== null && "id" in value && "label" in value) return value.id;
  return value;
}
