/**
 * Columns that any kind of thing may have in training, each seldom drawn: names that a tokenizer has to spell in
 * pieces, as it will those of the held-out split.
 */
import { type ColumnChoice, choices, type NumberRange } from "./columns.ts";

const RANGES: readonly NumberRange[] = [
  { low: 1, high: 99, step: 1 },
  { low: 10, high: 990, step: 10 },
  { low: 5, high: 480, step: 5 },
  { low: 1, high: 40, step: 1 },
  { low: 100, high: 9900, step: 100 },
];

/** Numbers whose range does not matter. */
function measures(text: string): ColumnChoice[] {
  return text.split(/\s+/).map((name, i) => ({ name, values: RANGES[i % RANGES.length]!, reserved: false }));
}

export const RARE_CATEGORIES: readonly ColumnChoice[] = choices(`
  texture=material pattern=color flavor=adjective aroma=adjective accent=language heritage=nationality
  ancestry=nationality faculty=department discipline=subject hemisphere=region borough=city canton=city
  parish=city territory=country classification=level certification=level qualification=level trimester=season
  semester=season anniversary=month hue=color shade=color pigment=color coating=material lining=material
  cladding=material alloy=material wholesaler=brand distributor=brand competitor=brand predecessor=last
  successor=last guardian=last godfather=first ornament=style craft=subject routine=weekday folklore=genre
  rhythm=music emblem=color harvest_time=month subsidiary=firm dwelling=spot tinge=color dye=color lacquer=color
  varnish=color glaze=color stain=color trim=color ribbon=color backdrop=color fiber=material weave=material
  filling=material casing=material frame=material hull=material roofing=material flooring=material mesh=material
  padding=material ward=region precinct=region commune=region prefecture=region basin=region plateau=region
  watershed=region hamlet=city terminus=city stopover=city embarkation=city hideout=city nation=country
  motherland=country exporter=country kingdom=country republic=country caliber=level tier=level
  proficiency=level difficulty=level standing=level echelon=level trademark=brand outfitter=brand bottler=brand
  caterer=brand insurer=brand lessor=brand heir=last chaperone=last registrar=last trustee=last understudy=last
  surname=last mascot=first alias=first namesake=first sidekick=first phase=status availability=status
  eligibility=status outcome=status kickoff=month renewal=month solstice=month vintage=season blooming=season
  migration=season decor=style layout=style motif=style ambience=style silhouette=style idiom=language
  vernacular=language subtitles=language dubbing=language bulk=size girdle=size syllabus=subject
  elective=subject curriculum=subject remittance=payment payout=payment settlement=payment trade=industry
  vocation=industry livelihood=industry propellant=fuel heating=fuel biome=habitat terrain=habitat
  landscape=habitat permission=access privacy=access directorate=department desk=department
`);

export const RARE_NUMBERS: readonly ColumnChoice[] = [
  ...choices(`
    radius=1..95/1 density=10..990/10 tension=1..90/1 frequency=20..980/10 bandwidth=100..9900/100
    acidity=1..14/1 brightness=10..990/10 contrast=1..99/1 moisture=1..90/1 salinity=1..60/1 friction=1..40/1
    latency=5..480/5 throughput=100..9900/100 footage=20..980/10 acreage=10..990/10 dosage=5..95/5
    coverage=10..100/10 premium=10..990/10 surplus=10..990/10 deficit=10..990/10 quota=5..95/5 ranking=1..99/1
    velocity=5..480/5 momentum=1..90/1 gradient=1..40/1 diameter=2..98/2 breadth=1..60/1 girth=5..95/1
    hardness=1..10/1 sharpness=1..10/1 clarity=1..10/1 purity=1..9.9/0.1 toxicity=1..60/1 potency=1..40/1
    longevity=1..99/1 visibility=1..60/1 stability=1..10/1 accuracy=50..99/1 precision=1..99/1
    efficiency=10..99/1 loyalty=1..60/1 endurance=10..99/1 agility=1..99/1 attempts=1..60/1 absorption=1..90/1
    backlog=2..98/2 headcount=5..480/5 footprint=10..990/10 upkeep=5..95/5
  `),
  ...measures(
    `abundance acceleration adhesion admission aeration affinity amplitude aperture appraisal aptitude ascent
    attrition barrage breakage bursts buyout calls capital carats carbon cargo clearance clicks clutch coils
    combustion commute compression concentration conduction congestion contagion craters credits cruising
    curvature cutoff damages debris decay decibels deflection demand descent detention deviation diffusion
    dilution displacement divergence downtime drainage droplets dropouts elasticity endowment energy entropy
    errors erosion escalation evaporation exposure faults fermentation fertility filtration flexion flicker
    flow fluency footfall force foliage freight frost gains gallons glare glucose goals grains gravity grip
    hazards headway heartbeat hectares hits holdings horsepower hydration hygiene ignition illumination impact
    imports incline inertia inflow insulation intake inventory iodine irrigation jitter joints jolts jumps
    kicks kilowatts knots lag lapse layers leakage levy lifts liquidity litres load loops losses lumens luster
    magnitude maintenance maturity memory merits microns minutes mortality motion nodes noise nutrition
    obstacles occupancy octane odds ounces outflow output overhead oxygen packets parity pause payback peaks
    pedals pellets persistence phosphate pitch pixels plunge pollen polls portions posture potassium pounds
    pressure probability protein pulse radiation rainfall rations rebound recoil reflex rejects reserve
    resistance resolution retention ripples risk rotation runoff runtime saturation scarcity seepage shrinkage
    signals silt skips slack slippage smog snowfall sodium solvency spillage spins splits stakes starch steam
    strain strength stress stretch strokes sugar suction sunlight suspension swell tariff tempo tenure thrust
    tides torsion traction traffic turbulence twist usage utility vacuum valuation vapor variance vibration
    viscosity vigor vitamins voids warmth waste watts waves wear whirl workload yards zeal zoom`,
  ),
];
