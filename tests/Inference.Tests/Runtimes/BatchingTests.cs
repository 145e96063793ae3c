using Microsoft.Extensions.Logging.Abstractions;
using Platform.Billing.Contracts;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Testing;

namespace Inference.Tests.Runtimes;

/// <summary>Requests that wait for a core, run together.</summary>
public sealed class BatchingTests
{
    [Fact]
    public async Task Waiting_requests_to_a_perceptron_run_together_to_the_same_bits()
    {
        using var serving = new Serving(OnnxFiles.Perceptron(64, 512, 512, 3), ServingMode.Throughput);
        serving.Model.Loaded!.Trial.MaxRows.ShouldBeGreaterThan(1);
        await serving.AgreesAsync(requests: 40);
    }

    [Fact]
    public void A_small_gain_is_enough_for_throughput_and_none_is_for_latency()
    {
        new BatchTrial(32, 1.6).RowsIn(ServingMode.Auto).ShouldBe(32);
        new BatchTrial(32, 1.4).RowsIn(ServingMode.Auto).ShouldBe(1);
        new BatchTrial(32, 1.4).RowsIn(ServingMode.Throughput).ShouldBe(32);
        new BatchTrial(32, 9).RowsIn(ServingMode.Latency).ShouldBe(1);
        BatchTrial.Apart.RowsIn(ServingMode.Throughput).ShouldBe(1);
    }

    [SharedDataFact("conformance/models/mlp_mid.onnx")]
    public Task A_real_perceptron_answers_the_same_bits_batched_and_unbatched() => SharedModelAgreesAsync("mlp_mid.onnx");

    [SharedDataFact("conformance/models/gbdt200.onnx")]
    public Task A_real_tree_ensemble_answers_the_same_bits_batched_and_unbatched() => SharedModelAgreesAsync("gbdt200.onnx");

    [Fact]
    public async Task A_model_whose_rows_depend_on_each_other_is_never_batched_in_any_mode()
    {
        foreach (var file in new[] { OnnxFiles.BatchCentred(), OnnxFiles.Positive(), OnnxFiles.Identity(OnnxFiles.Float, 2, 3) })
        {
            using var serving = new Serving(file, ServingMode.Throughput);
            (await serving.Model.UseAsync(default)).Value.Trial.RowsIn(ServingMode.Throughput).ShouldBe(1);
        }
    }

    [Fact]
    public async Task Texts_and_several_columns_are_joined_and_taken_apart()
    {
        using var serving = new Serving(OnnxFiles.Houses(), ServingMode.Throughput);
        (await serving.Model.UseAsync(default)).Value.Trial.RowsIn(ServingMode.Throughput).ShouldBeGreaterThan(1);
        await serving.AgreesAsync(requests: 30);
    }

    [Fact]
    public async Task One_request_the_model_cannot_digest_does_not_fail_its_neighbours()
    {
        using var serving = new Serving(OnnxFiles.Picks(), ServingMode.Throughput);
        var seats = serving.HoldAll();
        PredictionWork[] works = [.. new long[] { 0, 1, 99, 1, 0 }.Select(serving.Pick)];
        Task<Refusal?>[] runs = [.. works.Select(work => serving.Step.RunAsync(work, default).AsTask())];
        serving.Model.Batcher.Waiting.ShouldBe(5);
        serving.LetGo(seats);
        var refusals = await Task.WhenAll(runs);
        refusals.Select(refusal => refusal?.Code).ShouldBe([null, null, "model-failed", null, null]);
        works.Where((_, i) => i != 2).Select(work => work.Tensors.Outputs[0].Values<float>()[0]).ShouldBe([10f, 20f, 20f, 10f]);
    }

    [Fact]
    public async Task A_caller_that_gives_up_leaves_the_queue_and_the_others_are_answered()
    {
        using var serving = new Serving(OnnxFiles.Perceptron(8, 64, 1), ServingMode.Throughput);
        using var gone = new CancellationTokenSource();
        var seats = serving.HoldAll();
        var (stays, leaves) = (serving.Work(1, 1), serving.Work(2, 1));
        var (staying, leaving) = (serving.Step.RunAsync(stays, default).AsTask(), serving.Step.RunAsync(leaves, gone.Token).AsTask());
        serving.Model.Batcher.Waiting.ShouldBe(2);
        await gone.CancelAsync();
        serving.Model.Batcher.Waiting.ShouldBe(1);
        await Should.ThrowAsync<OperationCanceledException>(leaving);
        serving.LetGo(seats);
        (await staying).ShouldBeNull();
    }

    [Fact]
    public async Task A_model_whose_queue_is_full_refuses_and_says_the_limit()
    {
        using var serving = new Serving(OnnxFiles.Perceptron(8, 64, 1), ServingMode.Throughput, new WaitLimits(10, 2, TimeSpan.FromMinutes(1)));
        var seats = serving.HoldAll();
        Task<Refusal?>[] waiting = [.. Enumerable.Range(0, 2).Select(i => serving.Step.RunAsync(serving.Work(i, 1), default).AsTask())];
        var refusal = (await serving.Step.RunAsync(serving.Work(3, 1), default))!;
        refusal.Detail.ShouldBe("2 predictions of the model are waiting for a core, which is the limit (MaxWaitingPerModel).");
        refusal.RetryAfter.ShouldNotBeNull();
        serving.LetGo(seats);
        (await Task.WhenAll(waiting)).ShouldAllBe(answer => answer == null);
    }

    [Fact]
    public async Task Who_waited_too_long_in_a_batch_queue_is_refused()
    {
        using var serving = new Serving(OnnxFiles.Perceptron(8, 64, 1), ServingMode.Throughput, new WaitLimits(10, 10, TimeSpan.FromMilliseconds(80)));
        _ = serving.HoldAll();
        (await serving.Step.RunAsync(serving.Work(1, 1), default))!.Code.ShouldBe("queue-timeout");
        serving.Model.Batcher.Waiting.ShouldBe(0);
    }

    [Fact]
    public async Task Under_a_storm_every_request_gets_its_own_answer()
    {
        using var serving = new Serving(OnnxFiles.Perceptron(8, 256, 256, 2), ServingMode.Throughput);
        await Task.WhenAll(Enumerable.Range(0, 16).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (var i = 0; i < 200; i++)
            {
                var work = serving.Work(random.Next(), random.Next(1, 5));
                var expected = serving.Alone(work);
                (await serving.Step.RunAsync(work, default)).ShouldBeNull();
                work.Tensors.Outputs[0].Raw.ToArray().ShouldBe(expected);
                work.Plan.Works.Return(work);
            }
        })));
    }

    private static async Task SharedModelAgreesAsync(string file)
    {
        using var serving = new Serving(await File.ReadAllBytesAsync(SharedData.PathOf("conformance/models/" + file)), ServingMode.Throughput);
        serving.Model.Loaded!.Trial.MaxRows.ShouldBeGreaterThan(1);
        await serving.AgreesAsync(requests: 60);
    }

    /// <summary>One model behind one plan, with the run step over it and a gate of two seats.</summary>
    private sealed class Serving : IDisposable
    {
        private readonly RunGate gate;
        private readonly ModelCache cache;
        private readonly ServingPlan plan;

        public Serving(byte[] file, ServingMode mode = ServingMode.Auto, WaitLimits? waits = null)
        {
            var engine = new OnnxEngine(new OnnxPlacement());
            gate = new RunGate(2, 0, TimeSpan.FromMinutes(1), waits ?? Plans.Waits, TimeProvider.System);
            var blobs = new MemoryBlobs();
            cache = new ModelCache([engine], blobs, gate, 1 << 30, () => 0, TimeProvider.System, NullLogger<ModelCache>.Instance);
            using var loaded = engine.Load(file);
            var version = new ServableVersion("model", 1, blobs.Put("t", file), file.Length, loaded.Signature, [], null, null);
            var terms = new EndpointTerms("t", "e", "1", 1, true, null, "standard@1", new LimitOptions().For("standard", null, RequestLimits.None), mode);
            plan = new ServingPlan(terms, version, cache.For(new ModelKey("t", version.ArtifactSha256), file.Length), new TenantAdmission(Plans.NoQuota, TimeProvider.System), new LiveFigures(TimeProvider.System));
            Step = new RunStep(gate, new ResponseCache(0, TimeProvider.System), new PredictMetrics(), NullLogger<RunStep>.Instance);
            plan.Model.UseAsync(default).AsTask().Result.Value.Release();
        }

        public RunStep Step { get; }

        public ResidentModel Model => plan.Model;

        public RunSeat[] HoldAll() => [gate.TryEnter("t", default)!, gate.TryEnter("t", default)!];

        public void LetGo(RunSeat[] seats) => Array.ForEach(seats, gate.Exit);

        /// <summary>Rows of values that follow from the seed.</summary>
        public PredictionWork Work(int seed, int rows)
        {
            var (work, random) = (plan.Works.Get(), new Random(seed));
            work.Wanted = plan.AllOutputs;
            foreach (var input in work.Tensors.Inputs)
            {
                long[] shape = [rows, .. input.Layout.Shape[1..]];
                input.SetShape(shape);
                input.Resize((int)shape.Aggregate(1L, (product, size) => product * size));
                for (var i = 0; i < input.Count; i++)
                {
                    if (input.IsText) input.SetText(i, System.Text.Encoding.UTF8.GetBytes(random.Next(2) == 0 ? "north" : "elsewhere"));
                    else input.Set(i, (random.NextSingle() - 0.5f) * 20);
                }
            }
            return work;
        }

        public PredictionWork Pick(long index)
        {
            var work = plan.Works.Get();
            work.Wanted = plan.AllOutputs;
            work.Tensors.Inputs[0].SetShape(1);
            work.Tensors.Inputs[0].Resize(1);
            work.Tensors.Inputs[0].Set(0, index);
            return work;
        }

        /// <summary>The answer's bytes when nothing else runs with it.</summary>
        public byte[] Alone(PredictionWork work)
        {
            using var own = new TensorSet(plan.Inputs, plan.Outputs);
            Batch.Join([work.Tensors], own);
            using var quiet = new RunGate(1, 0, TimeSpan.FromMinutes(1), Plans.Waits, TimeProvider.System);
            plan.Model.Loaded!.Model.Run(own, plan.AllOutputs, quiet.TryEnter("t", default)!);
            return own.Outputs[0].Raw.ToArray();
        }

        /// <summary>So many requests, of one row to three, made to wait and then run: each answer is what it is by itself, to the bit.</summary>
        public async Task AgreesAsync(int requests)
        {
            PredictionWork[] works = [.. Enumerable.Range(0, requests).Select(i => Work(i, 1 + (i % 3)))];
            byte[][] expected = [.. works.Select(Alone)];
            var seats = HoldAll();
            Task<Refusal?>[] runs = [.. works.Select(work => Step.RunAsync(work, default).AsTask())];
            Model.Batcher.Waiting.ShouldBe(works.Count(work => Batch.Rows(work.Tensors.Inputs) < Model.Loaded!.Trial.MaxRows));
            LetGo(seats);
            (await Task.WhenAll(runs)).ShouldAllBe(refusal => refusal == null);
            plan.Totals.Runs.ShouldBeInRange(1, requests - 1);
            for (var i = 0; i < requests; i++) works[i].Tensors.Outputs[0].Raw.ToArray().ShouldBe(expected[i]);
        }

        public void Dispose()
        {
            cache.Dispose();
            gate.Dispose();
        }
    }
}
