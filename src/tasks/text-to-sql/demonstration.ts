/**
 * A database for showing the task: clubs and the bands that play there, made by hand, with questions and their queries.
 * Training has no schema of these tables. Questions about it can be drawn without end, for a model that knows this
 * database only. Knows no model.
 */
import { hashOfText } from "../../hash.ts";
import { drawQuestion, type TextToSqlQuestion } from "./example.ts";
import { Random } from "./random.ts";
import { type Column, type Database, textToSqlPrompt } from "./schema.ts";
import type { Split } from "./words.ts";

const id: Column = { name: "id", role: "key" };

export const DEMONSTRATION: Database = {
  tables: [
    {
      name: "band",
      columns: [
        id,
        { name: "name", role: "label" },
        { name: "country", role: "category" },
        { name: "genre", role: "category" },
        { name: "fee", role: "number" },
      ],
      rows: [
        [1, "Silver Tide", "Ireland", "Folk", 1200],
        [2, "Mara Lund", "Norway", "Jazz", 900],
        [3, "The Night Owls", "Canada", "Rock", 2400],
        [4, "Duo Amparo", "Spain", "Jazz", 1500],
        [5, "Paper Lanterns", "Japan", "Pop", 1900],
        [6, "Ivo Castel", "Portugal", "Folk", 650],
        [7, "Red Harbor", "Ireland", "Rock", 3100],
        [8, "Selma Fox", "Norway", "Pop", 2750],
        [9, "Blue Mirage", "Canada", "Jazz", 1050],
        [10, "Tall Grass", "Ireland", "Folk", 800],
      ],
    },
    {
      name: "club",
      columns: [
        id,
        { name: "name", role: "label" },
        { name: "access", role: "category" },
        { name: "capacity", role: "number" },
      ],
      rows: [
        [1, "River Bank", "Public", 4000],
        [2, "Old Mill", "Public", 600],
        [3, "Orchard", "Private", 150],
        [4, "Lake View", "Public", 1800],
      ],
    },
    {
      name: "concert",
      columns: [
        id,
        { name: "weekday", role: "category" },
        { name: "attendance", role: "number" },
        { name: "band_id", role: "foreign", references: "band" },
        { name: "club_id", role: "foreign", references: "club" },
      ],
      rows: [
        [1, "Friday", 2100, 3, 1],
        [2, "Friday", 380, 1, 2],
        [3, "Friday", 120, 2, 3],
        [4, "Saturday", 3600, 7, 1],
        [5, "Saturday", 1450, 8, 4],
        [6, "Saturday", 540, 4, 2],
        [7, "Saturday", 90, 2, 3],
        [8, "Saturday", 1700, 5, 4],
        [9, "Sunday", 3900, 7, 1],
        [10, "Sunday", 470, 4, 2],
        [11, "Sunday", 1320, 8, 4],
        [12, "Sunday", 600, 10, 2],
      ],
    },
  ],
};

export interface DemonstrationQuestion {
  readonly question: string;
  readonly prompt: string;
  readonly sql: string;
}

const JOINED = "FROM concert JOIN band ON concert.band_id = band.id";

export const DEMONSTRATION_QUESTIONS: readonly DemonstrationQuestion[] = [
  ask("What are the names of the bands whose country is Ireland?", "SELECT name FROM band WHERE country = 'Ireland'"),
  ask("What is the name of the band with the highest fee?", "SELECT name FROM band ORDER BY fee DESC LIMIT 1"),
  ask("What is the average fee of bands for each genre?", "SELECT genre, AVG(fee) FROM band GROUP BY genre"),
  ask("How many concerts are there with attendance over 1000?", "SELECT COUNT(*) FROM concert WHERE attendance > 1000"),
  ask(
    "For each band, show the name and the number of concerts.",
    `SELECT band.name, COUNT(*) ${JOINED} GROUP BY band.id`,
  ),
  ask(
    "What is the total attendance of concerts whose band has genre Jazz?",
    `SELECT SUM(concert.attendance) ${JOINED} WHERE band.genre = 'Jazz'`,
  ),
  ask(
    "List the weekday of all concerts whose club has the name Lake View.",
    "SELECT concert.weekday FROM concert JOIN club ON concert.club_id = club.id WHERE club.name = 'Lake View'",
  ),
  ask(
    "Which bands have no concerts? Show the name.",
    "SELECT name FROM band WHERE id NOT IN (SELECT band_id FROM concert)",
  ),
];

function ask(question: string, sql: string): DemonstrationQuestion {
  return { question, prompt: textToSqlPrompt(DEMONSTRATION.tables, question), sql };
}

/** One question in this many is held out. */
const HELD_OUT = 8;

/**
 * A drawn question about the demonstration's database, whose prompt leaves the schema out, because there is but one. A
 * question belongs to one split, by its words, so that held-out ones are never trained on.
 */
export function demonstrationExample(seed: number, split: Split): TextToSqlQuestion & { readonly prompt: string } {
  for (let attempt = 0; ; attempt++) {
    const drawn = drawQuestion(new Random(seed, attempt, 3), DEMONSTRATION);
    const heldOut = hashOfText(drawn.question) % HELD_OUT === 0;
    if (heldOut === (split === "held-out")) return { ...drawn, prompt: textToSqlPrompt([], drawn.question) };
  }
}
