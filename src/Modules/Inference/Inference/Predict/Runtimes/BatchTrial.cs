using System.Diagnostics;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>What was found out about running rows of one model together.</summary>
/// <param name="MaxRows">The most rows for which together and apart were seen to agree to the bit; 1 when they may not be run together.</param>
/// <param name="Gain">How many times quicker a row is among <paramref name="MaxRows"/> than by itself.</param>
internal sealed record BatchTrial(int MaxRows, double Gain)
{
    public static readonly BatchTrial Apart = new(1, 1);

    private const int MostRows = 32;
    private const double WorthIt = 1.5;

    private static readonly TimeSpan PatienceAlone = TimeSpan.FromMilliseconds(100), PatienceTogether = TimeSpan.FromMilliseconds(250);

    /// <summary>The most rows a batch may have in this mode; 1 is none.</summary>
    public int RowsIn(ServingMode mode) => mode switch
    {
        ServingMode.Latency => 1,
        ServingMode.Throughput => MaxRows,
        _ => Gain > WorthIt ? MaxRows : 1,
    };

    /// <summary>Runs made-up rows one by one and then in batches of every size from two up, and compares the answers' bits. What a kernel adds up in which
    /// order depends on the sizes and not on the values, so sizes that agree on these rows agree on others; and every size that will be used is tried.
    /// A model that mixes rows, drops some, or fails on made-up ones stays apart. Throws <see cref="ModelRunException"/> only when the run was stopped.</summary>
    public static BatchTrial Of(ILoadedModel model, RunSeat seat)
    {
        TensorLayout[] inputs = [.. model.Signature.Inputs.Select(TensorLayout.Of)], outputs = [.. model.Signature.Outputs.Select(TensorLayout.Of)];
        if (inputs.Length == 0 || outputs.Length == 0 || !inputs.Concat(outputs).All(layout => layout.HasFreeBatch) || model.MostRows < 2) return Apart;
        var most = Math.Min(MostRows, model.MostRows);
        int[] wanted = [.. Enumerable.Range(0, outputs.Length)];
        using var alone = new TensorSet(inputs, outputs);
        using var together = new TensorSet(inputs, outputs);
        var rows = new List<TensorSet>();
        try
        {
            var random = new Random(20240229);
            var clock = Stopwatch.StartNew();
            while (rows.Count < most && (rows.Count < 2 || clock.Elapsed < PatienceAlone)) rows.Add(RunOne(model, inputs, outputs, wanted, random, seat));

            // Each row again, now that the code is warm; rows vary, because a branch predictor learns a row that is repeated.
            var apart = Quickest(() =>
            {
                foreach (var row in rows)
                {
                    Batch.Join([row], alone);
                    model.Run(alone, wanted, seat);
                }
            }) / rows.Count;
            clock.Restart();
            var size = 1;
            while (size < rows.Count && (size < 2 || clock.Elapsed < PatienceTogether))
            {
                // One size that differs makes the smaller ones that agreed look like luck.
                if (!Agree(model, rows, ++size, together, wanted, seat)) return Apart;
            }
            var all = rows[..size];
            var joined = Quickest(() =>
            {
                Batch.Join(all, together);
                model.Run(together, wanted, seat);
            }) / size;
            return new BatchTrial(size, apart / Math.Max(joined, double.Epsilon));
        }
        catch (ModelRunException failure) when (failure.Failure is RunFailure.Failed or RunFailure.OutOfMemory)
        {
            return Apart;
        }
        finally
        {
            rows.ForEach(row => row.Dispose());
        }
    }

    private static TensorSet RunOne(ILoadedModel model, TensorLayout[] inputs, TensorLayout[] outputs, int[] wanted, Random random, RunSeat seat)
    {
        var row = new TensorSet(inputs, outputs);
        foreach (var input in row.Inputs) MakeUp(input, random);
        model.Run(row, wanted, seat);
        return row;
    }

    /// <summary>Joins <paramref name="size"/> of the rows, beginning elsewhere for each size so that rows change places.</summary>
    private static bool Agree(ILoadedModel model, List<TensorSet> rows, int size, TensorSet together, int[] wanted, RunSeat seat)
    {
        TensorSet[] some = [.. Enumerable.Range(size * 7, size).Select(i => rows[i % rows.Count])];
        Batch.Join(some, together);
        model.Run(together, wanted, seat);
        for (var i = 0; i < size; i++)
        {
            foreach (var index in wanted)
            {
                if (!Batch.IsRow(together.Outputs[index], i, size, some[i].Outputs[index])) return false;
            }
        }
        return true;
    }

    private static double Quickest(Action run)
    {
        var best = double.MaxValue;
        for (var i = 0; i < 3; i++)
        {
            var began = Stopwatch.GetTimestamp();
            run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(began).TotalMicroseconds);
        }
        return best;
    }

    /// <summary>One row of values that vary: zeros would agree where real rows do not.</summary>
    private static void MakeUp(Tensor input, Random random)
    {
        Span<long> shape = stackalloc long[input.Layout.Shape.Length];
        var count = 1L;
        for (var i = 0; i < shape.Length; i++) count *= shape[i] = i == 0 ? 1 : input.Layout.Shape[i] is >= 0 and var size ? size : 2;
        input.SetShape(shape);
        input.Resize(checked((int)count));
        for (var i = 0; i < input.Count; i++)
        {
            if (input.IsText) input.SetText(i, random.Next(3) switch { 0 => "a"u8, 1 => "north"u8, _ => ""u8 });
            else if (input.Layout.Datatype.IsFloat()) Cells.TryNumber(input, i, ((random.NextDouble() * 2) - 1) * (random.Next(3) == 0 ? 100 : 1));
            // Whole numbers are often places in a table, and the table may be small.
            else Cells.TryNumber(input, i, random.Next(2));
        }
    }
}
