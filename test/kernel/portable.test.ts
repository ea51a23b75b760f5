import { createPortableKernel } from '../../src/kernel/portable.ts';
import { describeKernel } from '../conformance/kernel.ts';

describeKernel('the portable adapter', createPortableKernel);
