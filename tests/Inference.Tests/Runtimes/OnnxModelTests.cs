using Platform.Inference.Predict.Runtimes;

namespace Inference.Tests.Runtimes;

public sealed class OnnxModelTests
{
    private static readonly OnnxEngine Engine = new(new OnnxPlacement());

    [Fact]
    public void Runs_of_changing_sizes_reuse_one_set_and_stay_right()
    {
        using var model = Engine.Load(OnnxFiles.Linear(0.5f, ("a", 2), ("b", -1)));
        using var run = new Runner(model);
        foreach (var rows in new[] { 1, 1, 3, 1, 1000, 2 })
        {
            run.Set<float>("a", [rows, 1], [.. Enumerable.Range(0, rows).Select(i => (float)i)]);
            run.Set<float>("b", [rows, 1], [.. Enumerable.Repeat(1f, rows)]);
            run.Go();
            run.Set0.Outputs[0].Values<float>().ToArray().ShouldBe(Enumerable.Range(0, rows).Select(i => (i * 2) - 1 + 0.5f));
        }
    }

    [Fact]
    public void After_the_warm_up_a_one_row_run_allocates_next_to_nothing()
    {
        using var model = Engine.Load(OnnxFiles.Linear(0, ("a", 2), ("b", 1)));
        using var run = new Runner(model);
        model.WarmUp(run.Seat);
        run.Set<float>("a", [1, 1], [1f]);
        run.Set<float>("b", [1, 1], [1f]);
        for (var i = 0; i < 10; i++) run.Go();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) run.Go();
        ((GC.GetAllocatedBytesForCurrentThread() - before) / 1000).ShouldBeLessThan(500);
    }

    [Fact]
    public void An_output_whose_length_depends_on_the_values_is_answered_although_zeros_looked_like_a_batch()
    {
        using var model = Engine.Load(OnnxFiles.Positive());
        using var run = new Runner(model);
        model.WarmUp(run.Seat);
        run.Set<float>("x", [4], [1, -5, 3, -7]);
        run.Go();
        run.Set0.Outputs[0].Values<float>().ToArray().ShouldBe([1f, 3f]);
        run.Set<float>("x", [2], [-5, -6]);
        run.Go();
        run.Set0.Outputs[0].Count.ShouldBe(0);
    }

    [Fact]
    public void Texts_go_in_and_out_as_bytes_even_with_a_zero_in_them()
    {
        using var model = Engine.Load(OnnxFiles.Identity(OnnxFiles.Text, -1));
        using var run = new Runner(model);
        model.WarmUp(run.Seat);
        foreach (var texts in new[] { new[] { "a\0b", "", "münchen" }, ["x"], [] })
        {
            run.SetTexts("x", texts);
            run.Go();
            var output = run.Set0.Outputs[0];
            Enumerable.Range(0, output.Count).Select(i => System.Text.Encoding.UTF8.GetString(output.Text(i))).ShouldBe(texts);
        }
    }

    [Fact]
    public void A_run_over_its_time_is_stopped_and_the_next_one_is_not()
    {
        using var model = Engine.Load(OnnxFiles.Slow());
        using var run = new Runner(model, longest: TimeSpan.FromMilliseconds(100));
        run.Set<long>("times", [1], [long.MaxValue]);
        Should.Throw<ModelRunException>(run.Go).Failure.ShouldBe(RunFailure.TimedOut);
        run.Set<long>("times", [1], [3]);
        run.Go();
        run.Set0.Outputs[0].Values<float>()[0].ShouldBe(3f);
    }

    [Fact]
    public void A_run_whose_caller_has_gone_is_stopped()
    {
        using var model = Engine.Load(OnnxFiles.Slow());
        using var gone = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        using var run = new Runner(model);
        run.Seat.For(gone.Token);
        run.Set<long>("times", [1], [long.MaxValue]);
        Should.Throw<ModelRunException>(run.Go).Failure.ShouldBe(RunFailure.Abandoned);
    }

    [Fact]
    public void A_run_for_which_there_is_no_memory_ends_by_itself_and_the_next_one_goes_on()
    {
        using var model = Engine.Load(OnnxFiles.Hungry());
        using var run = new Runner(model);
        run.Set<long>("count", [1], [1000]);
        run.Go();
        NativeMemory.Limit(NativeMemory.Allocated() + (2L << 30)).ShouldBeTrue();
        try
        {
            // 4 GiB of floats.
            run.Set<long>("count", [1], [1L << 30]);
            Should.Throw<ModelRunException>(run.Go).Failure.ShouldBe(RunFailure.OutOfMemory);
        }
        finally
        {
            NativeMemory.Limit(-1);
        }
        run.Set<long>("count", [1], [1000]);
        run.Go();
    }

    [Fact]
    public void An_answer_larger_than_one_may_be_is_not_copied()
    {
        using var model = Engine.Load(OnnxFiles.Talkative());
        using var run = new Runner(model);
        run.Set<long>("count", [1], [RunLimits.LargestAnswer / 4]);
        run.Go();
        run.Set<long>("count", [1], [(RunLimits.LargestAnswer / 4) + 1]);
        Should.Throw<ModelRunException>(run.Go).Failure.ShouldBe(RunFailure.OutOfMemory);
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("garbage")]
    [InlineData("empty")]
    [InlineData("custom operator")]
    public void A_file_that_is_no_servable_model_is_refused_in_words(string what)
    {
        var good = OnnxFiles.Linear(1, ("a", 1));
        var file = what switch { "truncated" => good[..^7], "garbage" => [.. Enumerable.Repeat((byte)0xFF, 500)], "empty" => [], _ => OnnxFiles.CustomOperator() };
        Should.Throw<ModelLoadException>(() => Engine.Load(file)).Message.ShouldNotBeNullOrWhiteSpace();
    }

    [Theory]
    [InlineData("cpu", "CPU")]
    [InlineData("cuda", "CPU (CUDA was asked for, but this build of ONNX Runtime offers only CPUExecutionProvider)")]
    [InlineData("abacus", "CPU (the provider 'abacus' is not known; use cpu or cuda)")]
    public void A_provider_that_is_not_to_be_had_gives_way_to_the_cpu_and_says_why(string wanted, string placement)
    {
        var engine = new OnnxEngine(new OnnxPlacement(wanted));
        engine.Placement.ShouldBe(placement);
        engine.Load(OnnxFiles.Linear(1, ("a", 1))).Dispose();
    }

    private sealed class Runner : IDisposable
    {
        private readonly ILoadedModel model;
        private readonly RunGate gate;

        public Runner(ILoadedModel model, TimeSpan? longest = null)
        {
            this.model = model;
            gate = new RunGate(1, 0, longest ?? TimeSpan.FromMinutes(1), Plans.Waits, TimeProvider.System);
            Seat = gate.TryEnter("t", CancellationToken.None)!;
            Set0 = new TensorSet([.. model.Signature.Inputs.Select(TensorLayout.Of)], [.. model.Signature.Outputs.Select(TensorLayout.Of)]);
        }

        public RunSeat Seat { get; }

        public TensorSet Set0 { get; }

        public void Set<T>(string input, long[] shape, T[] values) where T : unmanaged
        {
            var tensor = Set0.Inputs.Single(candidate => candidate.Layout.Name == input);
            tensor.Clear();
            tensor.SetShape(shape);
            tensor.Resize(values.Length);
            values.CopyTo(tensor.Values<T>());
        }

        public void SetTexts(string input, string[] values)
        {
            var tensor = Set0.Inputs.Single(candidate => candidate.Layout.Name == input);
            tensor.Clear();
            tensor.SetShape(values.Length);
            tensor.Resize(values.Length);
            for (var i = 0; i < values.Length; i++) tensor.SetText(i, System.Text.Encoding.UTF8.GetBytes(values[i]));
        }

        public void Go() => model.Run(Set0, [0], Seat);

        public void Dispose()
        {
            Set0.Dispose();
            gate.Dispose();
        }
    }
}
