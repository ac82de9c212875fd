import { describe, expect, test } from 'vitest';
import { producerId } from '#model/ids';
import { type ProducerIdBlock, ProducerIds } from '#runtime/producer-ids';

/** Blocks of two ids, or none. */
class Controller {
  asked = 0;
  isThere = true;
  readonly allot = async (): Promise<ProducerIdBlock | undefined> => {
    this.asked += 1;
    return this.isThere ? { first: producerId(10 * this.asked), count: 2 } : undefined;
  };
}

describe('producer ids', () => {
  test('are given once each, from one block after the other', async () => {
    const controller = new Controller();
    const ids = new ProducerIds(controller.allot);
    expect(await Promise.all([ids.next(), ids.next(), ids.next()])).toEqual([10, 11, 20]);
    expect([await ids.next(), await ids.next(), controller.asked]).toEqual([21, 30, 3]);
  });

  test('cannot be had without a controller, and can be when it is back', async () => {
    const controller = new Controller();
    const ids = new ProducerIds(controller.allot);
    controller.isThere = false;
    expect(await Promise.all([ids.next(), ids.next()])).toEqual([undefined, undefined]);
    controller.isThere = true;
    expect(await ids.next()).toBe(20);
  });

  test('are taken at once where there are any; taking in vain asks for more', async () => {
    const controller = new Controller();
    const ids = new ProducerIds(controller.allot);
    expect([ids.take(), ids.take(), controller.asked]).toEqual([undefined, undefined, 1]);
    await ids.whenSome();
    expect([ids.take(), ids.take(), ids.take()]).toEqual([10, 11, undefined]);
  });

  test('are not waited for where there are some, nor where none can be had', async () => {
    const controller = new Controller();
    const ids = new ProducerIds(controller.allot);
    await ids.whenSome();
    await ids.whenSome();
    expect([controller.asked, ids.take(), ids.take()]).toEqual([1, 10, 11]);
    controller.isThere = false;
    await ids.whenSome();
    expect(ids.take()).toBeUndefined();
  });
});
