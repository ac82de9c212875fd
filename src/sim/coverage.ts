/**
 * What a good run of many seeds has been through at least once. A point that no seed reaches says that the simulator, or its workload,
 * does not go where it should.
 */
export const COVERAGE_POINTS = [
  'leader elected',
  'leader elected after another',
  'leader deposed while alive',
  'candidate lost',
  'log truncated',
  'entry committed while a voter was down',
  'entry of an older epoch committed with a newer one',
  'snapshot made',
  'snapshot installed from the leader',
  'restart from a snapshot',
  'observer became voter',
  'wiped replica replaced',
  'no leader for five seconds',
  'broker fenced',
  'broker fenced by mistake',
  'broker replaced by its next incarnation',
  'all nodes down at once',
  'node ended by its disk',
  'disk full',
  'request acknowledged',
  'request acknowledged in the middle of faults',
  'request refused',
  'request without an answer',
  'unanswered request carried out',
  'producer ids given by two brokers',
  'records acknowledged',
  'records acknowledged in the middle of faults',
  'produce refused below min ISR',
  'in-sync replicas shrunk',
  'in-sync replicas grown',
  'follower truncated',
  'wipe withheld from the last copy',
  'transaction committed',
  'transaction aborted',
  'transaction ended in the middle of faults',
  'transactional producer fenced',
  'group offset committed',
  'commit of a former member refused',
  'member fenced',
  'disk replaced twice in a row',
  'synced records damaged',
  'damaged records replaced',
  'unsynced records lost',
  'committed records lost with flush.policy=os',
  'reassignment begun',
  'reassignment cancelled',
  'reassignment completed',
  'config of a topic with records altered',
  'records deleted',
  'deleted records refused',
  'compaction seen',
  'part healed alone',
] as const;

export type CoveragePoint = (typeof COVERAGE_POINTS)[number];

export class Coverage {
  readonly #counts = new Map<CoveragePoint, number>();

  sometimes(point: CoveragePoint): void {
    this.#counts.set(point, (this.#counts.get(point) ?? 0) + 1);
  }

  get counts(): ReadonlyMap<CoveragePoint, number> {
    return this.#counts;
  }
}
