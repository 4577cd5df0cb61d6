/**
 * The words that values are made of: names, places, kinds of things. Those after the bar are kept for the split of new
 * words, so that a model can only have copied them. Knows nothing of tables.
 */
import type { Random } from "./random.ts";

/**
 * What training sees; schemas of the same words that it never sees; and schemas whose nouns and part of whose columns and
 * values are words that it never sees.
 */
export type Split = "train" | "held-out" | "new-words";

export interface WordList {
  readonly train: readonly string[];
  readonly reserved: readonly string[];
}

/** Words with spaces between, `_` for a space within, a bar before the reserved ones. */
function wordList(text: string): WordList {
  const [train = "", reserved = ""] = text.split("|");
  const words = (part: string) =>
    part
      .split(/\s+/)
      .filter((word) => word !== "")
      .map((word) => word.replaceAll("_", " "));
  return { train: words(train), reserved: words(reserved) };
}

export type WordKind =
  | "first"
  | "last"
  | "pet"
  | "city"
  | "country"
  | "nationality"
  | "language"
  | "color"
  | "music"
  | "genre"
  | "status"
  | "material"
  | "size"
  | "season"
  | "month"
  | "weekday"
  | "level"
  | "brand"
  | "firm"
  | "site"
  | "spot"
  | "adjective"
  | "thing"
  | "model"
  | "access"
  | "style"
  | "scope"
  | "service"
  | "department"
  | "subject"
  | "payment"
  | "fuel"
  | "habitat"
  | "region"
  | "industry"
  | "condition"
  | "gender";

export const WORDS: Readonly<Record<WordKind, WordList>> = {
  first: wordList(`Adam Alice Amir Anna Ben Bruno Carla Carlos Clara Daniel David Diana Elena Emma Eric Eva Felix Frank
    Grace Hana Hans Hugo Ida Ivan Jack James Jana Jonas Julia Karl Kevin Kira Laura Lena Leo Liam Linda Lucas Lucy Maria
    Mark Marta Max Mia Nadia Nina Noah Nora Olga Oliver Omar Oscar Paul Peter Petra Ravi Rita Robert Rosa Ruth Sam Sara
    Simon Sofia Stefan Susan Theo Thomas Tina Tom Vera Victor Wendy Yara |
    Agnes Boris Camille Dmitri Edith Fiona Gustav Helga Igor Jasmine Kofi Ludwig Miriam Naoko Otto Priya Quentin Ramona
    Selma Tobias Ursula Vikram Wanda Yusuf Zelda`),
  last: wordList(`Adams Berg Brandt Carter Costa Cruz Diaz Evans Fischer Garcia Haas Hill Jensen Jones Keller Klein
    Lopez Martin Meyer Moore Murphy Novak Olsen Perez Reyes Rossi Santos Schmidt Silva Smith Taylor Tran Walker Weber
    Wilson Young | Abernathy Castel Dubois Eriksson Fontaine Hoffmann Ibrahim Kowalski Lindqvist Tanaka Okafor Petrov
    Romano Sandoval Thornton Vasquez Whitaker Zimmer`),
  pet: wordList(`Bella Buddy Charlie Coco Daisy Lucky Luna Milo Molly Rex Rocky Ruby Simba Toby Bruno Felix Leo Max Nala
    Oscar Rosie Shadow Sunny Teddy Tiger | Biscuit Cleo Duke Pepper Sasha Whiskers Ziggy Bandit Jasper Poppy`),
  city: wordList(`Athens Berlin Boston Cairo Chicago Delhi Dublin Geneva Hamburg Lagos Lima Lisbon London Lyon Madrid
    Miami Milan Moscow Munich Naples New_York Osaka Oslo Paris Porto Prague Rome San_Diego Seattle Seoul Sydney Tokyo
    Toronto Turin Vienna Warsaw Zurich Cape_Town Hong_Kong | Antwerp Bergen Bogota Brisbane Calgary Dakar Denver
    Dover Florence Glasgow Havana Bonn Istanbul Jakarta Krakow Lahore Manila Nairobi Quito Riga Graz Tallinn
    Utrecht Malaga Rabat`),
  country: wordList(`Austria Belgium Brazil Canada Chile China Cuba Denmark Egypt England Finland France Germany Greece
    India Ireland Italy Japan Kenya Korea Mexico Norway Peru Poland Portugal Russia Spain Sweden Turkey South_Africa |
    Albania Togo Croatia Ecuador Estonia Ghana Hungary Iceland Jamaica Latvia Malta Nepal Panama Rwanda Serbia
    Thailand Uganda Vietnam`),
  nationality: wordList(`American Brazilian British Canadian Chinese Danish Dutch French German Greek Indian Irish
    Italian Japanese Mexican Polish Russian Spanish Swedish Turkish | Albanian Bolivian Croatian Estonian Hungarian
    Kenyan Nepalese Peruvian Serbian Thai`),
  language: wordList(`Arabic Chinese Dutch English French German Greek Italian Japanese Polish Russian Spanish |
    Bengali Catalan Hebrew Hindi Korean Latin Swahili Welsh`),
  color: wordList(`Black Blue Brown Gold Gray Green Orange Pink Purple Red Silver White Yellow |
    Amber Crimson Ivory Maroon Teal Mauve Lilac`),
  music: wordList(`Blues Classical Disco Folk Funk Jazz Metal Opera Pop Punk Rap Rock Soul Techno |
    Bluegrass Flamenco Gospel Reggae Samba Swing`),
  genre:
    wordList(`Action Adventure Animation Comedy Crime Drama Fantasy History Horror Mystery Romance Thriller Western |
    Parody Sitcom Memoir Musical Satire Tragedy`),
  status: wordList(`Active Approved Cancelled Closed Completed Inactive New Open Paid Pending |
    Settled Delayed Expired Rejected Suspended`),
  material: wordList(`Cotton Glass Iron Leather Paper Plastic Silk Steel Stone Wood Wool |
    Bamboo Bronze Ceramic Copper Linen Marble Velvet`),
  size: wordList(`Huge Large Medium Small Tiny | Compact Giant Oversized`),
  season: wordList(`Autumn Spring Summer Winter`),
  month: wordList(`January February March April May June July August September October November December`),
  weekday: wordList(`Monday Tuesday Wednesday Thursday Friday Saturday Sunday`),
  level: wordList(`Advanced Basic Beginner Expert Intermediate Junior Senior | Amateur Elite Novice Veteran`),
  brand: wordList(`Acme Apex Bolt Delta Fox Globe Helix Kite Lumen Nova Orbit Peak Pulse Titan Vega Zen |
    Aurora Cobalt Falcon Juniper Nimbus Quasar Sierra Zephyr`),
  firm: wordList(`Group Labs Media Partners Systems Trading Works | Holdings Ventures Collective`),
  site: wordList(`Central East Golden Grand Harbor High King North Oak Old Queen Royal South Star Sun West |
    Birch Cedar Imperial Maple Pine Regent Willow`),
  spot: wordList(`Court Gate Hall Hill House Point Square View | Arcade Terrace Quarter`),
  adjective: wordList(`Bitter Broken Dark Distant Empty First Gentle Hidden Last Lonely Long Lost Quiet Secret Silent
    Sweet Wild | Ancient Crystal Fearless Frozen Scarlet Velvety`),
  thing: wordList(`Dream Fire Heart Home Letter Light Moon Night Ocean Promise Rain Road Shadow Sky Storm Wind World |
    Compass Echo Horizon Mirage Lantern Meadow`),
  model: wordList(`Alpha Atlas Comet Eagle Flash Hawk Mars Neptune Omega Panda Rapid Rover Saturn Swift Tempo Venus |
    Beacon Cyclone Dynamo Glider Phantom Vortex`),
  access: wordList(`Private Public Shared | Restricted`),
  style: wordList(`Classic Historic Modern Rural Simple Urban | Gothic Rustic Baroque`),
  scope: wordList(`International Local National Regional | Continental Provincial`),
  service: wordList(`Express Online Premium Regular Standard | Priority Wholesale`),
  department: wordList(`Design Finance Legal Marketing Research Sales Support | Security Payroll Procurement`),
  subject: wordList(`Art Biology Chemistry Geography Math Music Physics Sports | Astronomy Ethics
    Rhetoric`),
  payment: wordList(`Card Cash Cheque Transfer Voucher | Invoice Crypto`),
  fuel: wordList(`Diesel Electric Gas Hybrid Petrol | Biofuel Hydrogen`),
  habitat: wordList(`Desert Forest Jungle Mountain River Savanna Swamp | Coastal Tundra Wetland`),
  region: wordList(`Central East North South West | Highland Lowland`),
  industry: wordList(`Banking Energy Fashion Food Health Retail Software Tourism | Mining Shipping Textiles`),
  condition: wordList(`Broken Fair Good New Used | Mint Restored`),
  gender: wordList(`Female Male`),
};

const STARTS =
  "Al Bar Bel Cal Cor Dal Dar El Fal Fen Gal Gor Hal Hol Jar Kal Kor Lan Lor Mal Mor Nor Ol Pel Ros Sal Tor Ul Val Wen";
const MIDDLES = "a e i o u an ar en er il in on or";
const ENDS: Partial<Readonly<Record<WordKind, string>>> = {
  city: "burg dale field ford ham mont stad ton ville wick",
  last: "berg dahl ini ler man ner ova ska son stein vic",
};

/** A name of a person or a city that is put together from syllables, of which there are thousands. */
function inventName(random: Random, ends: string): string {
  return [STARTS, MIDDLES, ends].map((syllables) => random.pick(syllables.split(" "))).join("");
}

/**
 * A word of one split: reserved and other ones in equal parts among new words, elsewhere none that is reserved.
 */
export function drawWord(random: Random, kind: WordKind, split: Split): string {
  const ends = ENDS[kind];
  if (ends !== undefined && random.chance(0.1)) return inventName(random, ends);
  const { train, reserved } = WORDS[kind];
  return random.pick(split === "new-words" && reserved.length > 0 && random.chance(0.5) ? reserved : train);
}
