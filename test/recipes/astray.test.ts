/** Where a model's answers leave the data's, and how what is written from there is mixed with the data's answers. */
import { describe, expect, test } from "vitest";
import { astrayPrompts, mixed, openings } from "../../recipes/astray.ts";
import { drawGroups, type Row } from "../../recipes/rows.ts";

describe("openings", () => {
  const gold = " SELECT Name FROM singer WHERE Age > 20";

  test.each([
    ["the data's answer", gold, []],
    ["an answer that stops early", " SELECT Name FROM singer", []],
    ["an empty answer", "", []],
    ["a wrong word", " SELECT Title FROM singer", [" SELECT Title"]],
    ["a wrong end of a name", " SELECT Name_ID FROM singer", [" SELECT Name_"]],
    ["what goes on too long", `${gold} AND Age < 9`, [`${gold} AND`]],
    ["what is somewhat longer", ` SELECT${" x".repeat(20)}`, [" SELECT x"]],
  ])("%s", (_, own, expected) => {
    expect(openings(own, gold)).toEqual(expected);
  });

  test("an answer that will not end is left again further on", () => {
    const circle = ` SELECT${" FROM x".repeat(20)}`;
    const upTo = (count: number): string => ` SELECT${" FROM x".repeat(count / 2)}${count % 2 === 1 ? " FROM" : ""}`;
    expect(openings(circle, gold)).toEqual([1, 5, 9, 17].map(upTo));
  });
});

describe("mixed", () => {
  const rows: Row[] = Array.from({ length: 4 }, (_, i) => ({ id: `${i}`, prompt: `Q${i}:`, answer: " a b" }));

  test("mistakes stand in the prompt, ways on in the answer, then the data's answers, missed ones first", () => {
    const own = new Map([
      ["0", " a b"],
      ["1", " a c"],
      ["3", " x"],
    ]);
    const astray = astrayPrompts(rows, own);
    expect(astray).toEqual([
      { id: "1#0", prompt: "Q1: a c" },
      { id: "3#0", prompt: "Q3: x" },
    ]);
    expect(mixed(rows, astray, new Map([["3#0", " y"]]), 2)).toEqual([
      rows[1],
      rows[0],
      { id: "3#0", prompt: "Q3: x", answer: " y" },
      rows[3],
    ]);
  });

  test("of a group at most five eighths are mistakes, and no row is lost or made", () => {
    const group = Array.from({ length: 16 }, (_, i) => ({ id: `${i}`, prompt: "Q:", answer: " a" }));
    const astray = astrayPrompts(group, new Map(group.map(({ id }) => [id, " b"])));
    const all = mixed(group, astray, new Map(astray.map(({ id }) => [id, " c"])), 8);
    expect(all).toHaveLength(16);
    for (const half of [all.slice(0, 8), all.slice(8)]) {
      expect(half.filter(({ answer }) => answer === " c")).toHaveLength(5);
    }
  });
});

test("groups are drawn whole, from all over, and none twice", () => {
  const rows = Array.from({ length: 35 }, (_, i) => i);
  expect(drawGroups(rows, 4, 9)).toEqual([8, 9, 10, 11, 24, 25, 26, 27]);
  expect(drawGroups(rows, 8, 100)).toEqual(rows.slice(0, 32));
});
