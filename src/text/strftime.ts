/**
 * Python's `strftime` in the C locale, for a local time without a zone: what templates call `strftime_now`. By hand,
 * because the libraries differ: `strftime` gives day 000 for January 1 and knows no week years, `d3-time-format` knows
 * half of the fields. Knows no template.
 */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];
const DAY_MS = 24 * 3600 * 1000;

/** Fields that stand for several. */
const SHORT: Readonly<Record<string, string>> = {
  c: "%a %b %e %H:%M:%S %Y",
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  h: "%b",
  n: "\n",
  r: "%I:%M:%S %p",
  R: "%H:%M",
  t: "\t",
  T: "%H:%M:%S",
  x: "%m/%d/%y",
  X: "%H:%M:%S",
};

/** The fields that are numbers: value, width and what fills it. */
const NUMBERS: Readonly<Record<string, (date: Date) => readonly [value: number, width: number, fill?: string]>> = {
  C: (date) => [Math.floor(date.getFullYear() / 100), 2],
  d: (date) => [date.getDate(), 2],
  e: (date) => [date.getDate(), 2, " "],
  f: (date) => [date.getMilliseconds() * 1000, 6],
  g: (date) => [isoWeek(date).year % 100, 2],
  G: (date) => [isoWeek(date).year, 4],
  H: (date) => [date.getHours(), 2],
  I: (date) => [date.getHours() % 12 || 12, 2],
  j: (date) => [dayOfYear(date) + 1, 3],
  k: (date) => [date.getHours(), 2, " "],
  l: (date) => [date.getHours() % 12 || 12, 2, " "],
  m: (date) => [date.getMonth() + 1, 2],
  M: (date) => [date.getMinutes(), 2],
  s: (date) => [Math.floor(date.getTime() / 1000), 1],
  S: (date) => [date.getSeconds(), 2],
  u: (date) => [date.getDay() || 7, 1],
  U: (date) => [Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7), 2],
  V: (date) => [isoWeek(date).week, 2],
  w: (date) => [date.getDay(), 1],
  W: (date) => [Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7), 2],
  y: (date) => [date.getFullYear() % 100, 2],
  Y: (date) => [date.getFullYear(), 4],
};

const TEXTS: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => DAYS[date.getDay()]!.slice(0, 3),
  A: (date) => DAYS[date.getDay()]!,
  b: (date) => MONTHS[date.getMonth()]!.slice(0, 3),
  B: (date) => MONTHS[date.getMonth()]!,
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  P: (date) => (date.getHours() < 12 ? "am" : "pm"),
  z: () => "",
  Z: () => "",
  "%": () => "%",
};

/**
 * The date by a format; fields that there are not stay as they are.
 * @example
 * strftime(new Date(2024, 6, 4), "%-d %B %Y"); // "4 July 2024"
 */
export function strftime(date: Date, format: string): string {
  return format.replace(/%([-_0^#]?)([A-Za-z%])/g, (written, flag: string, field: string) => {
    if (Object.hasOwn(SHORT, field)) return strftime(date, SHORT[field]!);
    if (Object.hasOwn(TEXTS, field)) {
      const text = TEXTS[field]!(date);
      return flag === "^" ? text.toUpperCase() : text;
    }
    if (!Object.hasOwn(NUMBERS, field)) return written;
    const [value, width, fill = "0"] = NUMBERS[field]!(date);
    if (flag === "-") return String(value);
    return String(value).padStart(width, flag === "_" ? " " : flag === "0" ? "0" : fill);
  });
}

/** Counted from 0. */
function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((day - Date.UTC(date.getFullYear(), 0, 1)) / DAY_MS);
}

/** The week and its year by ISO 8601: a week belongs to the year of its Thursday. */
function isoWeek(date: Date): { readonly week: number; readonly year: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 4 - (date.getDay() || 7));
  return { week: Math.floor(dayOfYear(thursday) / 7) + 1, year: thursday.getFullYear() };
}
