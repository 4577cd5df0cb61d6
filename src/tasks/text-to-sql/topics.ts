/**
 * What tables are about: topics with their nouns, each noun of one kind of thing, and which kinds point to which. The
 * topics of the split of new words share no noun with the others. Knows no columns.
 */
import type { Split } from "./words.ts";

export type NounKind =
  | "person"
  | "place"
  | "organization"
  | "work"
  | "event"
  | "product"
  | "creature"
  | "vehicle"
  | "record";

export interface Noun {
  /** In the singular, as the table is called: lower case, `_` between words. */
  readonly name: string;
  readonly kind: NounKind;
}

export type Topic = readonly Noun[];

const LETTERS: Readonly<Record<string, NounKind>> = {
  p: "person",
  l: "place",
  o: "organization",
  w: "work",
  e: "event",
  g: "product",
  c: "creature",
  v: "vehicle",
  r: "record",
};

/** One topic a line; a letter before each noun tells its kind. */
function topics(text: string): readonly Topic[] {
  return text
    .trim()
    .split("\n")
    .map((line) => {
      return line
        .trim()
        .split(" ")
        .map((word) => ({ name: word.slice(2), kind: LETTERS[word[0]!]! }));
    });
}

const TRAIN: readonly Topic[] = topics(`
  p:singer p:drummer o:band o:record_label w:album w:song e:concert e:tour l:studio g:guitar r:ticket
  p:director p:actor p:producer w:movie w:film l:cinema e:screening e:premiere r:ticket
  p:author p:editor w:book w:novel o:publisher l:library r:loan l:bookstore
  p:student p:teacher o:school o:club l:classroom e:lesson e:exam r:enrollment
  p:professor o:department o:university l:campus e:lecture e:course w:thesis r:scholarship
  p:player p:coach o:team o:league l:stadium e:match e:tournament r:injury
  o:airline l:airport p:pilot p:passenger v:airplane e:flight r:booking
  l:station v:train v:bus p:driver p:conductor e:trip r:ticket l:depot
  v:ship v:boat p:captain p:sailor l:harbor e:voyage g:container r:shipment
  v:car v:truck p:mechanic o:dealer l:garage e:race r:repair r:inspection
  o:shop o:store p:customer p:cashier g:product g:item r:purchase r:refund o:supplier
  l:restaurant p:chef p:waiter g:dish g:dessert r:reservation w:recipe r:review
  l:hotel l:room p:guest p:receptionist r:stay r:booking o:hotel_chain
  o:hospital l:clinic p:doctor p:patient p:nurse r:visit r:treatment r:prescription
  p:owner c:dog c:cat p:vet l:shelter r:adoption r:vaccination c:rabbit
  l:farm p:farmer c:cow c:goat l:barn g:crop e:harvest v:tractor
  l:zoo p:keeper c:animal c:bird l:enclosure r:feeding e:parade
  l:museum p:artist p:curator w:painting w:sculpture e:exhibition l:gallery p:visitor
  l:theater p:playwright w:drama p:dramatist e:rehearsal e:performance r:ticket
  o:bank p:client p:banker l:branch g:credit_card r:transfer r:deposit r:mortgage
  o:company p:employee p:manager l:office w:project e:meeting r:contract r:bonus_payment
  l:town p:mayor l:park l:street l:bridge e:election r:permit l:village
  l:river l:mountain l:lake l:island p:climber e:expedition l:valley
  p:developer p:tester w:app w:package g:server g:laptop e:release_party r:bug
  o:newspaper o:magazine p:journalist p:reporter w:article r:subscription p:reader
  l:gym p:trainer p:member e:workout r:membership g:treadmill p:athlete
  l:garden p:gardener c:flower c:tree g:seed l:greenhouse c:shrub
  p:scientist l:laboratory e:experiment w:paper g:sample g:microscope e:conference
  p:astronaut v:rocket v:satellite e:mission l:planet l:observatory o:space_agency
  l:house l:apartment p:tenant p:landlord r:rental p:broker r:viewing l:building
  g:parcel p:courier r:delivery l:warehouse l:post_office g:letter v:van
  p:designer g:dress g:shoe g:jacket e:fashion_show l:boutique o:tailor
  p:gamer w:game g:console e:competition r:download o:guild
  l:bakery p:baker g:cake g:cookie r:order_line g:sandwich
  o:winery g:wine l:vineyard e:tasting p:winemaker g:cheese
  o:law_firm p:lawyer p:judge l:court e:trial r:verdict r:fine
  o:army p:soldier e:battle l:fortress v:tank r:medal
  o:channel w:series w:episode p:presenter p:viewer r:rating_entry
  p:photographer w:photo g:camera g:lens e:workshop r:print_order
  o:factory p:worker v:machine g:gadget r:shift l:assembly_line
  p:volunteer o:charity p:donor r:donation e:campaign e:auction
  p:swimmer l:pool e:heat o:swim_club r:swim_record p:lifeguard
  l:cafe p:barista g:coffee g:pastry r:receipt
  p:politician o:party w:bill e:debate r:vote l:district
`);

const NEW: readonly Topic[] = topics(`
  o:circus p:acrobat p:clown l:tent e:gala g:costume r:callback
  l:aquarium p:diver c:shark c:dolphin l:reef e:dive r:sighting
  l:mine p:miner g:mineral e:blast v:excavator r:extraction
  p:beekeeper l:hive g:candle c:bee r:swarm l:meadow
  p:soprano w:opera p:composer w:symphony o:orchestra e:recital
  l:castle p:knight e:duel g:sword r:siege p:squire
  p:skier l:slope l:lodge e:slalom g:snowboard r:lift_pass
  p:cowboy c:horse e:rodeo g:saddle l:ranch r:wager
  o:embassy p:diplomat r:visa w:treaty e:summit p:envoy
  l:lighthouse p:angler v:trawler r:catch l:pier g:lure
  o:brewery p:brewer g:beer l:cellar g:barrel r:batch
  w:podcast p:narrator o:sponsor w:jingle r:stream
  p:illustrator w:comic g:poster w:mural r:commission o:collective
  p:digger e:excavation g:artifact l:tomb l:ruin r:finding
  p:dancer w:ballet o:troupe e:waltz g:slipper
  l:orchard p:picker c:apple g:cider r:yield
  p:cyclist v:bicycle l:velodrome e:sprint r:puncture g:helmet
  l:volcano p:geologist e:eruption g:crystal r:tremor
  p:performer l:stage r:gig o:festival g:amplifier
  p:potter l:kiln g:vase g:teapot e:glazing r:firing
`);

/** How often a noun is one of the others although the topic has some that fit. */
export const OFF_TOPIC: Readonly<Record<Split, number>> = {
  train: 0.3,
  "held-out": 0.3,
  "new-words": 0.15,
};

export const TOPICS: Readonly<Record<Split, readonly Topic[]>> = {
  train: TRAIN,
  "held-out": TRAIN,
  "new-words": NEW,
};

/** Nouns that go with any topic of a split. */
export const OTHER_NOUNS: Readonly<Record<Split, readonly Noun[]>> = {
  train: TRAIN.flat(),
  "held-out": TRAIN.flat(),
  "new-words": NEW.flat(),
};

/** Which kinds of things may belong to one of each kind. */
export const CHILDREN: Readonly<Record<NounKind, readonly NounKind[]>> = {
  person: ["work", "event", "record", "creature", "vehicle", "product"],
  place: ["person", "event", "creature", "record", "product", "work"],
  organization: ["person", "product", "event", "vehicle", "place", "work", "record"],
  work: ["record", "event"],
  event: ["record", "person", "work"],
  product: ["record"],
  creature: ["record"],
  vehicle: ["record", "event"],
  record: [],
};
