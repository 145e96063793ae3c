// The peer: Fastify with onnxruntime-node, with what a careful team would put around a model: a key check, a limiter and a log.
// node fastify.mjs MODEL PORT WORKERS SHAPE KEY
import cluster from 'node:cluster'
import { createHash, timingSafeEqual } from 'node:crypto'
import { createRequire } from 'node:module'

const [model, port, workers, shape, key] = process.argv.slice(2)
const require = createRequire(process.env.PEER_MODULES + '/')
if (cluster.isPrimary && Number(workers) > 1) {
  for (let i = 0; i < Number(workers); i++) cluster.fork()
} else {
  const fastify = require('fastify')
  const ort = require('onnxruntime-node')
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const dims = JSON.parse(shape)
  const known = createHash('sha256').update('Bearer ' + key).digest()
  const perSecond = 1e6
  let tokens = perSecond, filled = performance.now(), log = []
  const app = fastify({ logger: false })
  const tensor = { type: 'object', required: ['name', 'shape', 'datatype', 'data'], properties: { name: { type: 'string' }, shape: { type: 'array', items: { type: 'integer' } }, datatype: { type: 'string' }, data: { type: 'array', items: { type: 'number' } } } }
  const schema = {
    body: { type: 'object', required: ['inputs'], properties: { inputs: { type: 'array', items: tensor } } },
    response: { 200: { type: 'object', properties: { data: { type: 'array', items: { type: 'number' } } } } },
  }
  app.post('/infer', { schema }, async (request, reply) => {
    const presented = createHash('sha256').update(request.headers.authorization ?? '').digest()
    if (!timingSafeEqual(presented, known)) return reply.code(401).send({})
    const now = performance.now()
    tokens = Math.min(perSecond, tokens + (now - filled) * perSecond / 1000)
    filled = now
    if (--tokens < 0) return reply.code(429).send({})
    const data = request.body.inputs[0].data
    const answer = await session.run({ x: new ort.Tensor('float32', Float32Array.from(data), [1, ...dims]) })
    const result = Array.from(answer.y.data)
    log.push([now, data, result])
    if (log.length > 10000) log = []
    return { data: result }
  })
  await app.listen({ host: '127.0.0.1', port: Number(port) })
}
