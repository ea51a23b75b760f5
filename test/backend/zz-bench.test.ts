import { test } from 'vitest';
import { rm } from 'node:fs/promises';
import { systemClock, systemRandom } from '/work/main/src/base/ambient.ts';
import { openLocalBackend } from '/work/main/src/backend/local.ts';
test('bench', async () => {
  const path='/tmp/bb/repo'; await rm(path,{recursive:true,force:true});
  const b=await openLocalBackend(path,{clock:systemClock,random:systemRandom,create:true});
  await b.create('index/warm',[new Uint8Array(10)]);
  let t=performance.now(); for(let i=0;i<200;i++) await b.create(`index/s${i}`,[new Uint8Array(1000)]); console.log('serial small create',(performance.now()-t)/200,'ms');
  t=performance.now(); await Promise.all(Array.from({length:400},(_,i)=>b.create(`index/p${i}`,[new Uint8Array(1000)]))); console.log('parallel small create',(performance.now()-t)/400,'ms each');
  const pack=new Uint8Array(32<<20).fill(7);
  t=performance.now(); for(let i=0;i<8;i++) await b.create(`packs/d/0${i}/x`,[pack]); console.log('32MiB create',(performance.now()-t)/8,'ms');
  t=performance.now(); await Promise.all(Array.from({length:8},(_,i)=>b.create(`packs/t/0${i}/x`,[pack]))); console.log('32MiB create x8 parallel',(performance.now()-t)/8,'ms');
  t=performance.now(); for(let i=0;i<2000;i++) await b.read('packs/d/00/x',{offset:i*16000,length:65536}); console.log('64KiB range read',(performance.now()-t)/2000*1000,'us');
  t=performance.now(); for(let i=0;i<10;i++) await b.read('packs/d/00/x'); console.log('32MiB read',(performance.now()-t)/10,'ms');
  const fs=await import('node:fs'); for(let d=0;d<256;d++){const p=`${path}/packs/d/${d.toString(16).padStart(2,'0')}`;fs.mkdirSync(p,{recursive:true});for(let i=0;i<391;i++)fs.writeFileSync(`${p}/${'a'.repeat(28)}${i}`,'');}
  for(let k=0;k<2;k++){t=performance.now(); let n=0; for await(const o of b.list('packs/d/')) n++; console.log('list',n,performance.now()-t,'ms');}
  await rm(path,{recursive:true,force:true});
}, 100000);
