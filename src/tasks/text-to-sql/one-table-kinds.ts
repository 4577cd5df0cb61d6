/** Kinds of questions about one table: what is shown, conditions, aggregates, order, groups. */
import { kind, type QuestionKind, SHOW } from "./kinds.ts";

const EACH = "[of all {t+}|of each {t}|of every {t}]";

const SHOWN: readonly QuestionKind[] = [
  kind("list", "t=table a=shown:t", "SELECT {a} FROM {t}", [
    `${SHOW} the {a} ${EACH}.`,
    `What is the {a} of [each|every] {t}?`,
    `${SHOW} the {a+} of all [the {t+}|{t+}].`,
    `What are the {a+} of all {t+}?`,
    `For [each|every] {t}, [show|give|list] the {a}.`,
    `I [want|need] the {a} ${EACH}.`,
    `Which {a} does each {t} have?`,
  ]),
  kind("list-two", "t=table a=shown:t b=shown:t", "SELECT {a}, {b} FROM {t}", [
    `${SHOW} the {a} and {b} ${EACH}.`,
    `${SHOW} the {a} and the {b} ${EACH}.`,
    `What are the {a} and {b} of [each|every] {t}?`,
    `For [each|every] {t}, [show|give|list] the {a} and {b}.`,
    `I [want|need] the {a} and [the {b}|{b}] of all {t+}.`,
    `Which {a} and {b} does each {t} have?`,
  ]),
  kind("distinct", "t=table a=category:t", "SELECT DISTINCT {a} FROM {t}", [
    `${SHOW} the [different|distinct|unique] {a+} of [all {t+}|the {t+}|{t+}].`,
    `What are the [different|distinct|unique] {a+} of [all {t+}|the {t+}|{t+}]?`,
    `Which [different|distinct|unique] {a+} do [the {t+}|{t+}] have?`,
    `${SHOW} every [different|distinct] {a} of [the {t+}|{t+}].`,
    `${SHOW} the {a+} of {t+} without [repeats|duplicates].`,
    `Which {a+} [occur|appear] among the {t+}, each once?`,
  ]),
  kind("count", "t=table", "SELECT COUNT(*) FROM {t}", [
    "How many {t+} are there?",
    "How many {t+} are there [in all|in total|altogether]?",
    "Count [the|all|all the] {t+}.",
    "What is the [number|total number] of {t+}?",
    `${SHOW} the number of [all {t+}|{t+}].`,
    "How many {t+} do we have?",
    "[Tell me|Say] how many {t+} [exist|there are].",
  ]),
  kind("count-distinct", "t=table a=category:t", "SELECT COUNT(DISTINCT {a}) FROM {t}", [
    "How many [different|distinct|unique] {a+} do [the {t+}|{t+}] have?",
    "How many [different|distinct|unique] {a+} are there among [the {t+}|{t+}]?",
    "Count the [different|distinct|unique] {a+} of [all {t+}|the {t+}|{t+}].",
    "What is the number of [different|distinct|unique] {a+} of [all {t+}|the {t+}|{t+}]?",
    `${SHOW} the number of [different|distinct|unique] {a+} of [the {t+}|{t+}].`,
    "How many [different|distinct|unique] {a+} [occur|appear] among [the {t+}|{t+}]?",
  ]),
];

/** Ways to ask for one column under a condition, which begins with a preposition or "that". */
function filtered(conditions: string): string[] {
  return [
    `${SHOW} the {a} of [all {t+}|the {t+}|{t+}] ${conditions}.`,
    `What is the {a} of [the {t+}|each {t}] ${conditions}?`,
    `${SHOW} the {a+} of [all {t+}|{t+}] ${conditions}.`,
    `What are the {a+} of [the {t+}|{t+}] ${conditions}?`,
    `Which {t+} are there ${conditions}? [Show|Give|List] the {a}.`,
    `For {t+} ${conditions}, [show|give|list] the {a}.`,
  ];
}

function counted(conditions: string): string[] {
  return [
    `How many {t+} are there ${conditions}?`,
    `Count [the|all|all the] {t+} ${conditions}.`,
    `What is the number of {t+} ${conditions}?`,
    `${SHOW} the number of {t+} ${conditions}.`,
    `How many {t+} do we have ${conditions}?`,
    `[Tell me|Say] how many {t+} there are ${conditions}.`,
  ];
}

const EQUAL = "[with {b} {v}|whose {b} is {v}|that have {b} {v}|where the {b} is {v}]";
const NOT_EQUAL = "[whose {b} is not {v}|with {b~} other than {v}|where the {b} is not {v}|that do not have {b} {v}]";
const BOUND = "[with {n} {op} {x}|whose {n} {n!} {op} {x}|that have {n} {op} {x}|where the {n} {n!} {op} {x}]";
const BETWEEN = "[with {n} between {x} and {y}|whose {n} {n!} between {x} and {y}|with {n} from {x} to {y}]";
const BOTH =
  "[with {b} {v} and {n} {op} {x}|whose {b} is {v} and whose {n} {n!} {op} {x}|that have {b} {v} and {n} {op} {x}]";
const EITHER = "[with {b} {v} or {w}|whose {b} is {v} or {w}|whose {b} is either {v} or {w}|that have {b} {v} or {w}]";
const STARTS = "[whose {b} starts with {v}|whose {b} begins with {v}|with {b~} that starts with {v}]";
const CONTAINS = "[whose {b} contains {v}|with {v} in the {b}|with {b~} that contains {v}]";
const IN_YEAR = "[with {d} in {y}|whose {d} is in {y}|where the {d} is in {y}]";
const AFTER = "[with {d} after {v}|whose {d} is after {v}|where the {d} is later than {v}]";
const SIDE =
  "[with {n} {m} the average|whose {n} {n!} {m} the average|with {m}-average {n}|where the {n} {n!} {m} the average]";

const FILTERED: readonly QuestionKind[] = [
  kind("where-equal", "t=table b=text:t a=shown:t v=value:b", "SELECT {a} FROM {t} WHERE {b} = {v}", filtered(EQUAL), {
    weight: 2,
  }),
  kind(
    "where-not-equal",
    "t=table b=category:t a=shown:t v=value:b",
    "SELECT {a} FROM {t} WHERE {b} <> {v}",
    filtered(NOT_EQUAL),
  ),
  kind(
    "where-compare",
    "t=table n=number:t a=shown:t bound:n",
    "SELECT {a} FROM {t} WHERE {n} {op} {x}",
    filtered(BOUND),
    { weight: 2 },
  ),
  kind(
    "where-between",
    "t=table n=number:t a=shown:t range:n",
    "SELECT {a} FROM {t} WHERE {n} BETWEEN {x} AND {y}",
    filtered(BETWEEN),
  ),
  kind(
    "where-and",
    "t=table b=category:t n=number:t a=shown:t v=value:b bound:n",
    "SELECT {a} FROM {t} WHERE {b} = {v} AND {n} {op} {x}",
    filtered(BOTH),
  ),
  kind(
    "where-or",
    "t=table b=category:t a=shown:t v=value:b w=another:b",
    "SELECT {a} FROM {t} WHERE {b} = {v} OR {b} = {w}",
    filtered(EITHER),
  ),
  kind(
    "where-starts",
    "t=table b=label:t a=shown:t v=initial:b",
    "SELECT {a} FROM {t} WHERE {b} LIKE '{v}%'",
    filtered(STARTS),
  ),
  kind(
    "where-contains",
    "t=table b=label:t a=shown:t v=word:b",
    "SELECT {a} FROM {t} WHERE {b} LIKE '%{v}%'",
    filtered(CONTAINS),
    { weight: 2 },
  ),
  kind(
    "where-year",
    "t=table d=date:t a=shown:t y=year:d",
    "SELECT {a} FROM {t} WHERE {d} LIKE '{y}%'",
    filtered(IN_YEAR),
    {
      weight: 3,
    },
  ),
  kind("where-after", "t=table d=date:t a=shown:t v=value:d", "SELECT {a} FROM {t} WHERE {d} > {v}", filtered(AFTER), {
    weight: 2,
  }),
  kind(
    "against-average",
    "t=table n=number:t a=shown:t m=side:n",
    "SELECT {a} FROM {t} WHERE {n} {m} (SELECT AVG({n}) FROM {t})",
    filtered(SIDE),
  ),
  kind("count-equal", "t=table b=category:t v=value:b", "SELECT COUNT(*) FROM {t} WHERE {b} = {v}", counted(EQUAL)),
  kind("count-compare", "t=table n=number:t bound:n", "SELECT COUNT(*) FROM {t} WHERE {n} {op} {x}", counted(BOUND)),
];

const AGGREGATES: readonly QuestionKind[] = [
  kind("aggregate", "t=table n=number:t g=aggregate:n", "SELECT {g}({n}) FROM {t}", [
    "What is the {g} {n} of [all {t+}|the {t+}|{t+}]?",
    `${SHOW} the {g} {n} of [all {t+}|the {t+}|{t+}].`,
    "What {g} {n} do [the {t+}|{t+}] have?",
    "[Compute|Calculate] the {g} {n} of [all {t+}|the {t+}|{t+}].",
    "I [want|need] the {g} {n} of [all {t+}|the {t+}|{t+}].",
    "[Across|Among] all {t+}, what is the {g} {n}?",
  ]),
  kind(
    "aggregate-where",
    "t=table n=number:t b=category:t g=aggregate:n v=value:b",
    "SELECT {g}({n}) FROM {t} WHERE {b} = {v}",
    [
      `What is the {g} {n} of [all {t+}|the {t+}|{t+}] ${EQUAL}?`,
      `${SHOW} the {g} {n} of [all {t+}|the {t+}|{t+}] ${EQUAL}.`,
      `What {g} {n} do {t+} ${EQUAL} have?`,
      `[Compute|Calculate] the {g} {n} of [all {t+}|the {t+}|{t+}] ${EQUAL}.`,
      `I [want|need] the {g} {n} of [the {t+}|{t+}] ${EQUAL}.`,
      `[Across|Among] all {t+} ${EQUAL}, what is the {g} {n}?`,
    ],
  ),
];

const ORDERED: readonly QuestionKind[] = [
  kind("order", "t=table n=number:t a=shown:t s=sort:n", "SELECT {a} FROM {t} ORDER BY {n} {s}", [
    `${SHOW} the {a} of [all {t+}|every {t}|each {t}] {s}.`,
    "What are the {a+} of [all {t+}|the {t+}], {s}?",
    `${SHOW} the {a+} of [all {t+}|the {t+}] {s}.`,
    "I [want|need] the {a} of [all {t+}|every {t}|each {t}] {s}.",
    "For [each|every] {t}, [show|give|list] the {a}, {s}.",
    "What is the {a} of [each|every] {t}, {s}?",
  ]),
  kind("order-alphabet", "t=table a=label:t", "SELECT {a} FROM {t} ORDER BY {a} ASC", [
    `${SHOW} the {a} of [all {t+}|every {t}|each {t}] in alphabetical order.`,
    `${SHOW} the {a+} of [all {t+}|the {t+}] in alphabetical order.`,
    "What are the {a+} of [all {t+}|the {t+}] in alphabetical order?",
    `${SHOW} the {a+} of [all {t+}|the {t+}], sorted alphabetically.`,
    "I [want|need] the {a+} of [all {t+}|the {t+}] from A to Z.",
    "[Alphabetically|In alphabetical order], what are the {a+} of [all {t+}|the {t+}]?",
  ]),
  kind("superlative", "t=table n=number:t a=shown:t s=superlative:n", "SELECT {a} FROM {t} ORDER BY {n} {s} LIMIT 1", [
    "What is the {a} of the {t} with the {s} {n}?",
    `${SHOW} the {a} of the {t} with the {s} {n}.`,
    "Which {t} has the {s} {n}? [Show|Give|Return] [the|its] {a}.",
    `${SHOW} the {a} of the {t} that has the {s} {n}.`,
    "Which {a} does the {t} with the {s} {n} have?",
    "For the {t} with the {s} {n}, [show|give] the {a}.",
  ]),
  kind(
    "top",
    "t=table n=number:t a=shown:t s=superlative:n k=limit",
    "SELECT {a} FROM {t} ORDER BY {n} {s} LIMIT {k}",
    [
      "What are the {a+} of the {k} {t+} with the {s} {n}?",
      `${SHOW} the {a} of the {k} {t+} with the {s} {n}.`,
      "Which {k} {t+} have the {s} {n}? [Show|Give|Return] the {a}.",
      `${SHOW} the {a+} of the {k} {t+} that have the {s} {n}.`,
      "For the {k} {t+} with the {s} {n}, [show|give|list] the {a}.",
      "I [want|need] the {a} of the {k} {t+} with the {s} {n}.",
    ],
  ),
  kind(
    "where-order",
    "t=table b=category:t n=number:t a=shown:t v=value:b s=sort:n",
    "SELECT {a} FROM {t} WHERE {b} = {v} ORDER BY {n} {s}",
    [
      `${SHOW} the {a} of [all {t+}|the {t+}|{t+}] ${EQUAL}, {s}.`,
      `What are the {a+} of [the {t+}|{t+}] ${EQUAL}, {s}?`,
      `${SHOW} the {a+} of [all {t+}|{t+}] ${EQUAL}, {s}.`,
      `For {t+} ${EQUAL}, [show|give|list] the {a}, {s}.`,
      `I [want|need] the {a} of [all {t+}|{t+}] ${EQUAL}, {s}.`,
      `What is the {a} of each {t} ${EQUAL}, {s}?`,
    ],
  ),
];

const GROUPED: readonly QuestionKind[] = [
  kind("group-count", "t=table b=category:t", "SELECT {b}, COUNT(*) FROM {t} GROUP BY {b}", [
    "How many {t+} are there for each {b}?",
    "How many {t+} does each {b} have?",
    `${SHOW} the number of {t+} [for|per] each {b}.`,
    "For each {b}, [show|give] the number of {t+}.",
    "Count the {t+} [for each|of each|by] {b}.",
    `${SHOW} each {b} [and|with] the number of {t+}.`,
  ]),
  kind(
    "group-aggregate",
    "t=table b=category:t n=number:t g=aggregate:n",
    "SELECT {b}, {g}({n}) FROM {t} GROUP BY {b}",
    [
      "What is the {g} {n} of {t+} for each {b}?",
      "What is the {g} {n} of the {t+} of each {b}?",
      `${SHOW} the {g} {n} of {t+} [for|per] each {b}.`,
      "For each {b}, [show|give] the {g} {n} of [the {t+}|{t+}].",
      `${SHOW} each {b} [and|with] the {g} {n} of its {t+}.`,
      "[Compute|Calculate] the {g} {n} of {t+} [for each|by] {b}.",
    ],
  ),
  kind("having", "t=table b=category:t x=size:b", "SELECT {b} FROM {t} GROUP BY {b} HAVING COUNT(*) > {x}", [
    "Which {b+} have more than {x} {t+}?",
    `${SHOW} the {b+} [that have|with] more than {x} {t+}.`,
    "What are the {b+} with more than {x} {t+}?",
    `${SHOW} every {b} with more than {x} {t+}.`,
    "Which {b+} are shared by more than {x} {t+}?",
    "For which {b+} are there more than {x} {t+}?",
  ]),
  kind("most-common", "t=table b=category:t", "SELECT {b} FROM {t} GROUP BY {b} ORDER BY COUNT(*) DESC LIMIT 1", [
    "What is the most [common|frequent] {b} of [all {t+}|the {t+}|{t+}]?",
    `${SHOW} the most [common|frequent] {b} of [all {t+}|the {t+}|{t+}].`,
    "Which {b} has the most {t+}?",
    "Which {b} [occurs|appears] most often among [the {t+}|{t+}]?",
    `${SHOW} the {b} [that has|with] the most {t+}.`,
    "Which {b} do most {t+} have?",
  ]),
];

export const ONE_TABLE_KINDS: readonly QuestionKind[] = [...SHOWN, ...FILTERED, ...AGGREGATES, ...ORDERED, ...GROUPED];
