import { createFastKernel } from '../../src/kernel/fast.ts';
import { describeKernel } from '../conformance/kernel.ts';

describeKernel('the fast adapter', createFastKernel);
