/**
 * Which columns a thing can have: names that suit its kind, what their values are, and which are kept for the split
 * of new words. Draws single values; knows nothing of tables and rows.
 */
import type { Random } from "./random.ts";
import type { NounKind } from "./topics.ts";
import { drawWord, type Split, type WordKind } from "./words.ts";

/** Whole or one-decimal numbers from `low` to `high`, in steps. */
export interface NumberRange {
  readonly low: number;
  readonly high: number;
  readonly step: number;
}

/** One or two kinds of words with a space between; a date; or a number. */
export type Values = readonly [WordKind] | readonly [WordKind, WordKind] | "date" | NumberRange;

export interface ColumnChoice {
  readonly name: string;
  readonly values: Values;
  /** For the split of new words only. */
  readonly reserved: boolean;
}

export interface KindColumns {
  /** What tells one from another: a name, a title. Records have none. */
  readonly labels: readonly ColumnChoice[];
  /** Text that several rows share. */
  readonly categories: readonly ColumnChoice[];
  readonly numbers: readonly ColumnChoice[];
  readonly dates: readonly ColumnChoice[];
}

/** `name=values`, a bar before the reserved ones. Values: `word`, `word+word`, `low..high/step`, or `date`. */
export function choices(text: string): ColumnChoice[] {
  const [train = "", reserved = ""] = text.split("|");
  const parse = (part: string, kept: boolean) =>
    part
      .split(/\s+/)
      .filter((entry) => entry !== "")
      .map((entry) => {
        const [name = "", values = ""] = entry.split("=");
        return { name, values: parseValues(values), reserved: kept };
      });
  return [...parse(train, false), ...parse(reserved, true)];
}

function parseValues(text: string): Values {
  if (text === "date") return "date";
  const range = /^([\d.]+)\.\.([\d.]+)\/([\d.]+)$/.exec(text);
  if (range) return { low: Number(range[1]), high: Number(range[2]), step: Number(range[3]) };
  const [first, second] = text.split("+") as [WordKind, WordKind?];
  return second === undefined ? [first] : [first, second];
}

const YEAR = "1960..2023/1";

export const COLUMNS: Readonly<Record<NounKind, KindColumns>> = {
  person: {
    labels: choices(`
      name=first name=first+last full_name=first+last last_name=last | nickname=first
    `),
    categories: choices(`
      country=country city=city nationality=nationality language=language level=level gender=gender status=status
      home_city=city residence=city citizenship=nationality mother_tongue=language specialty=subject
      favorite_color=color profession=department grade=level | birthplace=city homeland=country dialect=language
      seniority=level
    `),
    numbers: choices(`
      age=18..79/1 salary=1500..9500/100 height=150..205/1 weight=48..120/1 experience=1..40/1 score=10..99/1
      birth_year=1950..2005/1 income=1100..9900/100 points=100..990/10 rating=1..9.9/0.1 pension=500..3900/100
      savings=100..9900/100 wins=1..90/1 awards=1..40/1 vacation_days=5..40/1 overtime=1..60/1 fitness=10..99/1
      allowance=50..950/10 | stamina=10..99/1 wage=1200..8800/100 debut_year=${YEAR} reputation=10..99/1
    `),
    dates: choices("birth_date=date hire_date=date join_date=date | arrival_date=date"),
  },
  place: {
    labels: choices("name=site+spot | designation=site+spot"),
    categories: choices(`
      city=city country=country access=access style=style status=status region=region county=region ownership=access
      climate=season zone=region contractor=brand neighborhood=city | province=region architecture=style
      municipality=city
    `),
    numbers: choices(`
      capacity=20..980/10 area=100..9900/100 rating=1..9.9/0.1 opening_year=${YEAR} population=200..9900/100
      distance=2..98/1 length=5..95/1 visitors=100..9800/100 rent=300..4900/100 floors=1..40/1
      elevation=100..4800/100 perimeter=20..980/10 temperature=1..40/1 humidity=10..95/5 toll=1..30/1
      parking_spaces=10..480/10 beds=2..240/2 | altitude=100..4800/100 depth=5..95/1 width=3..90/1
      founding_year=${YEAR}
    `),
    dates: choices("opening_date=date | renovation_date=date"),
  },
  organization: {
    labels: choices("name=brand+firm name=brand name=site+firm | trade_name=brand+firm"),
    categories: choices(`
      city=city country=country industry=industry status=status scope=scope region=region sector=industry
      strategy=style legal_seat=city motto_language=language main_market=country | base=city jurisdiction=scope
    `),
    numbers: choices(`
      revenue=100..9900/100 budget=50..990/10 founded_year=${YEAR} rating=1..9.9/0.1 staff=5..480/5
      profit=10..980/10 debt=10..990/10 assets=100..9900/100 subsidy=10..990/10 vacancies=1..60/1
      expenses=10..990/10 awards=1..40/1 | turnover=100..9900/100 dividend=1..60/1 patents=1..90/1
    `),
    dates: choices("founding_date=date | charter_date=date"),
  },
  work: {
    labels: choices(`
      title=adjective+thing title=thing name=adjective+thing title=adjective+thing | heading=thing
    `),
    categories: choices(`
      genre=genre language=language country=country status=status style=style format=size subject=subject
      publisher=brand translator=last setting=city audience=level copyright=access original_language=language |
      theme=genre mood=adjective edition=style
    `),
    numbers: choices(`
      year=${YEAR} pages=40..980/10 length=60..590/10 duration=10..240/5 price=4..95/1 rating=1..9.9/0.1
      sales=100..9900/100 budget=100..9800/100 release_year=${YEAR} scenes=3..90/1 copies=100..9900/100
      awards=1..40/1 likes=100..9900/100 complexity=1..10/1 revision=1..30/1 | chapters=3..60/1 royalty=1..40/1
      verses=4..90/1
    `),
    dates: choices("release_date=date | debut_date=date"),
  },
  event: {
    labels: choices(`
      name=site+thing title=adjective+thing name=adjective+thing | motto=adjective+thing
    `),
    categories: choices(`
      city=city season=season weekday=weekday status=status scope=scope month=month country=country level=level
      organizer=brand weather=season broadcaster=firm dress_code=color audience=level | host_city=city
      category=style
    `),
    numbers: choices(`
      year=${YEAR} attendance=100..9900/100 budget=100..9900/100 duration=1..30/1 ticket_price=5..150/5
      capacity=50..950/10 score=10..99/1 cost=50..990/10 participants=10..980/10 rounds=2..30/1 distance=2..98/1
      intensity=1..10/1 cameras=2..40/1 donations=100..9900/100 | entry_fee=5..95/1 turnout=20..980/10
      prize=100..9900/100
    `),
    dates: choices("date=date start_date=date | closing_date=date"),
  },
  product: {
    labels: choices("name=model name=adjective+model title=model | model_name=model"),
    categories: choices(`
      brand=brand color=color material=material size=size condition=condition country=country style=style
      packaging=material shape=style finish=color importer=brand shelf=region quality=level | tint=color
      vendor=brand fabric=material
    `),
    numbers: choices(`
      price=5..950/5 weight=1..95/1 stock=2..250/1 rating=1..9.9/0.1 discount=1..60/1 warranty=6..60/6 cost=3..480/1
      sales=100..9900/100 calories=20..980/10 voltage=5..240/5 volume=1..95/1 durability=1..10/1 popularity=10..99/1
      | margin=1..60/1 thickness=1..50/1 storage_cost=2..90/1
    `),
    dates: choices("production_date=date | expiry_date=date"),
  },
  creature: {
    labels: choices("name=pet name=pet | tag=pet"),
    categories: choices(`
      color=color size=size habitat=habitat country=country gender=gender temperament=adjective fur_color=color
      continent=region climate_zone=region | origin=country
    `),
    numbers: choices(`
      age=1..20/1 weight=2..98/1 height=10..190/5 price=20..950/10 lifespan=2..60/1 speed=5..90/1 offspring=1..30/1
      wingspan=10..190/5 litter_size=1..12/1 rarity=1..10/1 | growth=1..40/1 appetite=1..30/1
    `),
    dates: choices("birth_date=date | hatch_date=date"),
  },
  vehicle: {
    labels: choices("name=model model=model name=adjective+model | callsign=model"),
    categories: choices(`
      brand=brand color=color fuel=fuel status=status condition=condition country=country manufacturer=brand
      registration_city=city transmission=style upholstery=material | propulsion=fuel maker=brand
    `),
    numbers: choices(`
      speed=40..320/5 price=100..9900/100 year=${YEAR} capacity=2..400/2 weight=100..9900/100 mileage=100..9900/100
      power=50..650/10 length=3..95/1 seats=2..80/1 doors=1..12/1 cylinders=2..16/2 emissions=20..490/10
      consumption=2..60/1 tonnage=10..980/10 | payload=10..950/10 torque=50..900/10 launch_year=${YEAR}
    `),
    dates: choices("purchase_date=date | launch_date=date"),
  },
  record: {
    labels: [],
    categories: choices(`
      status=status method=payment month=month weekday=weekday type=service department=department city=city
      reason=service location=city handler=last currency_country=country urgency=level destination=city |
      portal=service priority=level
    `),
    numbers: choices(`
      amount=10..990/10 quantity=1..60/1 price=5..480/5 rating=1..9.9/0.1 days=1..60/1 fee=2..95/1 cost=10..900/10
      year=${YEAR} tax=1..90/1 balance=10..990/10 units=1..99/1 interest=1..30/1 delay=1..60/1 deductible=10..490/10
      | surcharge=1..60/1 weighting=1..30/1 penalty=5..95/5
    `),
    dates: choices("date=date start_date=date due_date=date | filing_date=date"),
  },
};

/** Text, or a date as `YYYY-MM-DD`, or a number. */
export function drawValue(random: Random, values: Values, split: Split): string | number {
  if (values === "date") {
    const two = (n: number) => String(n).padStart(2, "0");
    return `${random.between(2016, 2023)}-${two(random.between(1, 12))}-${two(random.between(1, 28))}`;
  }
  if ("low" in values) {
    const steps = Math.round((values.high - values.low) / values.step);
    return Number((values.low + random.below(steps + 1) * values.step).toFixed(1));
  }
  return values.map((kind) => drawWord(random, kind, split)).join(" ");
}
