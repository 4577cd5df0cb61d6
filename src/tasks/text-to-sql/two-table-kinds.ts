/** Kinds of questions about two linked tables: joins, groups over them, and what has or lacks a counterpart. */
import { JOINED, kind, type QuestionKind, SHOW } from "./kinds.ts";

const OF_PARENT =
  "[whose {p} has {b} {v}|of {p+} with {b} {v}|whose {p} has the {b} {v}|that belong to a {p} with {b} {v}]";

const JOINS: readonly QuestionKind[] = [
  kind("join-list", "link a=shown:c b=label:p", `SELECT {c}.{a}, {p}.{b} FROM ${JOINED}`, [
    `${SHOW} the {a} of each {c} and the {b} of its {p}.`,
    `${SHOW} the {a} of [all {c+}|every {c}] [with|together with|and] the {b} of [their|the] {p}.`,
    "What are the {a} of each {c} and the {b} of its {p}?",
    "For [each|every] {c}, [show|give|list] the {a} and the {b} of its {p}.",
    "I [want|need] the {a} of [each|every] {c} and the {b} of the {p} it belongs to.",
    "What is the {a} of [each|every] {c}, and what is the {b} of its {p}?",
  ]),
  kind(
    "join-where-parent",
    "link b=text:p a=shown:c v=value:b",
    `SELECT {c}.{a} FROM ${JOINED} WHERE {p}.{b} = {v}`,
    [
      `${SHOW} the {a} of [all {c+}|the {c+}|{c+}] ${OF_PARENT}.`,
      `What is the {a} of [the {c+}|each {c}] ${OF_PARENT}?`,
      `${SHOW} the {a+} of [all {c+}|{c+}] ${OF_PARENT}.`,
      `What are the {a+} of [the {c+}|{c+}] ${OF_PARENT}?`,
      `For {c+} ${OF_PARENT}, [show|give|list] the {a}.`,
      `I [want|need] the {a} of [all {c+}|{c+}] ${OF_PARENT}.`,
    ],
    { weight: 1.5 },
  ),
  kind(
    "join-where-child",
    "link a=label:p n=number:c bound:n",
    `SELECT DISTINCT {p}.{a} FROM ${JOINED} WHERE {c}.{n} {op} {x}`,
    [
      "Which {p+} have {c~} with {n} {op} {x}? [Show|Give|List] the different {a+}.",
      `${SHOW} the [different|distinct] {a+} of {p+} [that have|with] {c~} with {n} {op} {x}.`,
      "What are the [different|distinct] {a+} of {p+} [that have|with] {c~} with {n} {op} {x}?",
      `${SHOW} the [different|distinct] {a+} of {p+} with [some {c}|any {c}] whose {n} {n!} {op} {x}.`,
      "I [want|need] the [different|distinct] {a+} of {p+} that have {c~} whose {n} {n!} {op} {x}.",
      "For {p+} that have {c~} with {n} {op} {x}, [show|list] the [different|distinct] {a+}.",
    ],
  ),
  kind(
    "join-and",
    "link b=category:p n=number:c a=shown:c v=value:b bound:n",
    `SELECT {c}.{a} FROM ${JOINED} WHERE {p}.{b} = {v} AND {c}.{n} {op} {x}`,
    [
      `${SHOW} the {a} of [all {c+}|{c+}] with {n} {op} {x} whose {p} has {b} {v}.`,
      "What is the {a} of [the {c+}|each {c}] with {n} {op} {x} whose {p} has {b} {v}?",
      `${SHOW} the {a+} of {c+} with {n} {op} {x} of {p+} with {b} {v}.`,
      "What are the {a+} of [the {c+}|{c+}] with {n} {op} {x} of {p+} with {b} {v}?",
      "For {c+} with {n} {op} {x} whose {p} has {b} {v}, [show|give|list] the {a}.",
      "I [want|need] the {a} of {c+} with {n} {op} {x} that belong to a {p} with {b} {v}.",
    ],
    { weight: 0.7 },
  ),
];

const JOINED_GROUPS: readonly QuestionKind[] = [
  kind("join-count", "link b=label:p v=value:b", `SELECT COUNT(*) FROM ${JOINED} WHERE {p}.{b} = {v}`, [
    "How many {c+} does the {p} with {b} {v} have?",
    "How many {c+} belong to the {p} [with|whose] {b} [is {v}|{v}]?",
    "Count the {c+} of the {p} with {b} {v}.",
    "What is the number of {c+} of the {p} with {b} {v}?",
    `${SHOW} the number of {c+} of the {p} whose {b} is {v}.`,
    "How many {c+} are there for the {p} with {b} {v}?",
  ]),
  kind("join-group-count", "link a=label:p", `SELECT {p}.{a}, COUNT(*) FROM ${JOINED} GROUP BY {p}.id`, [
    "How many {c+} does each {p} have? [Show|Give] [the|its] {a} and the number.",
    `${SHOW} the {a} of each {p} and [the|its] number of {c+}.`,
    "What are the {a} of each {p} and the number of [its {c+}|{c+} it has]?",
    "For [each|every] {p}, [show|give|list] the {a} and the number of {c+}.",
    "Count the {c+} of [each|every] {p}, [with|and show] the {a} of the {p}.",
    `${SHOW} the {a} of [each|every] {p} [with|together with] the number of its {c+}.`,
  ]),
  kind(
    "join-group-aggregate",
    "link a=label:p n=number:c g=aggregate:n",
    `SELECT {p}.{a}, {g}({c}.{n}) FROM ${JOINED} GROUP BY {p}.id`,
    [
      "What is the {g} {n} of the {c+} of each {p}? [Show|Give] the {a} too.",
      `${SHOW} the {a} of each {p} and the {g} {n} of its {c+}.`,
      "What are the {a} of each {p} and the {g} {n} of its {c+}?",
      "For [each|every] {p}, [show|give|list] the {a} and the {g} {n} of its {c+}.",
      "[Compute|Calculate] the {g} {n} of the {c+} of [each|every] {p}, with the {a} of the {p}.",
      `${SHOW} the {a} of [each|every] {p} [with|together with] the {g} {n} of its {c+}.`,
    ],
  ),
  kind(
    "join-aggregate",
    "link n=number:c b=text:p g=aggregate:n v=value:b",
    `SELECT {g}({c}.{n}) FROM ${JOINED} WHERE {p}.{b} = {v}`,
    [
      `What is the {g} {n} of [the {c+}|{c+}] ${OF_PARENT}?`,
      `${SHOW} the {g} {n} of [all {c+}|the {c+}|{c+}] ${OF_PARENT}.`,
      `[Compute|Calculate] the {g} {n} of [the {c+}|{c+}] ${OF_PARENT}.`,
      `What {g} {n} do {c+} ${OF_PARENT} have?`,
      `I [want|need] the {g} {n} of [the {c+}|{c+}] ${OF_PARENT}.`,
      `[Across|Among] all {c+} ${OF_PARENT}, what is the {g} {n}?`,
    ],
  ),
  kind("join-most", "link a=shown:p", `SELECT {p}.{a} FROM ${JOINED} GROUP BY {p}.id ORDER BY COUNT(*) DESC LIMIT 1`, [
    "What is the {a} of the {p} with the most {c+}?",
    `${SHOW} the {a} of the {p} with the most {c+}.`,
    "Which {p} has the most {c+}? [Show|Give|Return] [the|its] {a}.",
    `${SHOW} the {a} of the {p} that has the [most|largest number of] {c+}.`,
    "Which {a} does the {p} with the most {c+} have?",
    "For the {p} with the most {c+}, [show|give] the {a}.",
  ]),
  kind(
    "join-having",
    "link a=label:p x=size:f",
    `SELECT {p}.{a} FROM ${JOINED} GROUP BY {p}.id HAVING COUNT(*) > {x}`,
    [
      "What is the {a} of each {p} with more than {x} {c+}?",
      `${SHOW} the {a} of [the {p+}|all {p+}|{p+}] [that have|with] more than {x} {c+}.`,
      "Which {p+} have more than {x} {c+}? [Show|Give|List] the {a}.",
      `${SHOW} the {a+} of [all {p+}|{p+}] [that have|with] more than {x} {c+}.`,
      "What are the {a+} of [the {p+}|{p+}] with more than {x} {c+}?",
      "For {p+} with more than {x} {c+}, [show|give|list] the {a}.",
    ],
  ),
];

const WITHOUT = "[without any {c}|without {c+}|that have no {c}|that have no {c+}]";

const SUBSELECTS: readonly QuestionKind[] = [
  kind("not-in", "link a=shown:p", "SELECT {a} FROM {p} WHERE id NOT IN (SELECT {f} FROM {c})", [
    `${SHOW} the {a} of [all {p+}|the {p+}|{p+}] ${WITHOUT}.`,
    `What is the {a} of [the {p+}|each {p}] ${WITHOUT.replaceAll("that have", "with")}?`,
    `${SHOW} the {a+} of [all {p+}|{p+}] ${WITHOUT}.`,
    `What are the {a+} of [the {p+}|{p+}] ${WITHOUT}?`,
    "Which {p+} have no [{c}|{c+}]? [Show|Give|List] the {a}.",
    `For {p+} ${WITHOUT}, [show|give|list] the {a}.`,
  ]),
];

export const TWO_TABLE_KINDS: readonly QuestionKind[] = [...JOINS, ...JOINED_GROUPS, ...SUBSELECTS];
