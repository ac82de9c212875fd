import { describe, expect, test } from 'vitest';
import { Load, type LoadPorts } from '#chaos/load';
import { type Injector, runScenario, type Verdict } from '#chaos/run-scenario';
import { parseScenario } from '#chaos/scenario';
import { ApiKey } from '#protocol/generated/apis';
import { KAFKA_PORT, type Machine } from '#sim/machine';
import { Scenario } from './scenario.ts';

/** How long a reader waits for an answer. */
const FETCH_MS = 1_500;

/** The load of `odradek chaos` and its verdict, on a cluster of whole nodes in virtual time. */
class Stage {
  readonly scenario: Scenario;
  #ports: LoadPorts;

  private constructor(scenario: Scenario) {
    this.scenario = scenario;
    this.#ports = scenario.world.ports('client', { disks: [] });
  }

  static async open(seed: number): Promise<Stage> {
    return new Stage(await Scenario.whole(seed));
  }

  /** From then on no fetch arrives on a connection that is open, and whoever waits for its answer has the patience of a minute. */
  loseFetches(): () => void {
    let isLost = false;
    const { clock, network } = this.#ports;
    const connect: LoadPorts['network']['connect'] = (to, open) => {
      const isLater = isLost;
      network.connect(to, (connection) => {
        const send = (chunks: readonly Uint8Array[]): void => {
          const isFetch = Buffer.concat(chunks).readInt16BE(4) === ApiKey.Fetch;
          if (!isFetch || isLater || !isLost) connection.send(chunks);
        };
        return open({
          remote: connection.remote,
          get queuedBytes() {
            return connection.queuedBytes;
          },
          send,
          pause: () => connection.pause(),
          resume: () => connection.resume(),
          end: () => connection.end(),
          reset: () => connection.reset(),
        });
      });
    };
    const timer: LoadPorts['clock']['timer'] = (fire) => {
      const inner = clock.timer(fire);
      return { arm: (ms) => inner.arm(ms === FETCH_MS ? 60_000 : ms), disarm: () => inner.disarm() };
    };
    this.#ports = {
      ...this.#ports,
      network: { connect, listen: (at, accept) => network.listen(at, accept) },
      clock: { now: () => clock.now(), wall: () => clock.wall(), timer, defer: (run) => clock.defer(run) },
    };
    return () => {
      isLost = true;
    };
  }

  /** `strike` takes the place of the fault, and gives how that is healed. */
  async run(strike: (stage: Stage) => Promise<() => void>): Promise<Verdict> {
    const { world, cluster } = this.scenario;
    const parsed = parseScenario({
      load: { partitions: 3, recordsPerSecond: 60 },
      steps: [{ wait: '1s' }, { kill: 1, for: '10s' }],
    });
    if (parsed.error !== undefined) throw new Error(parsed.error);
    const nodes = cluster.machines.map(({ name }) => ({ host: name, port: KAFKA_PORT }));
    const load = await world.complete(Load.start(this.#ports, nodes, 'loaded', parsed.value.load));
    const injector: Injector = {
      inject: async () => {
        const heal = await strike(this);
        return { fault: { kind: 'kill', node: 1 }, heal: async () => heal() };
      },
      heal: async () => [],
    };
    const never = new Promise<void>(() => {});
    const options = { say: () => {}, interrupted: never };
    return await world.complete(runScenario(this.#ports.clock, parsed.value, load, injector, options));
  }

  get machines(): readonly Machine[] {
    return this.scenario.cluster.machines;
  }
}

describe('the load and its verdict', () => {
  test('pass a cluster of which a node loses its power', async () => {
    const stage = await Stage.open(1);
    const verdict = await stage.run(async ({ machines }) => {
      const [first] = machines;
      await first?.losePower();
      return () => first?.start();
    });
    expect(verdict).toMatchObject({
      lost: 0,
      duplicated: 0,
      disordered: 0,
      changed: 0,
      unreadable: [],
      stalled: [],
      failures: [],
    });
    // 60 a second for some 12 seconds, but for what was not written in the failover.
    expect(verdict.acknowledged).toBeGreaterThan(400);
    expect(verdict.read).toBeGreaterThanOrEqual(verdict.acknowledged);
    expect(verdict.faults[0]?.longestUnavailableMs).toBeLessThan(5_000);
  });

  test('fail where a reader stands still, though all is there for whoever begins anew', async () => {
    const stage = await Stage.open(4);
    const lose = stage.loseFetches();
    const verdict = await stage.run(async () => {
      lose();
      return () => {};
    });
    expect(verdict).toMatchObject({ lost: 0, skipped: 0, unreadable: [], stalled: [0, 1, 2] });
    expect(verdict.read).toBeLessThan(verdict.acknowledged);
    expect(verdict.failures).toEqual(['the readers of partitions 0, 1, 2 stand still']);
  });

  test('tell for how long nothing was acknowledged while the majority was down', async () => {
    const stage = await Stage.open(2);
    const verdict = await stage.run(async ({ machines }) => {
      for (const machine of machines.slice(1)) await machine.losePower();
      return () => {
        for (const machine of machines.slice(1)) machine.start();
      };
    });
    expect(verdict.failures).toEqual([]);
    expect(verdict.faults[0]?.longestUnavailableMs).toBeGreaterThan(9_000);
  });

  test('count as lost what was on disks that are all replaced', async () => {
    const stage = await Stage.open(3);
    // The checkers of the simulator would find it first.
    stage.scenario.world.onEvent = () => {};
    const verdict = await stage.run(async ({ machines }) => {
      for (const machine of machines) {
        await machine.losePower();
        machine.wipe();
      }
      return () => {
        for (const machine of machines) machine.start();
      };
    });
    expect(verdict.lost).toBeGreaterThan(50);
    expect(verdict.unreadable).toEqual([0, 1, 2]);
  });
});
