using Platform.Registry.Onnx;

namespace Platform.Registry.Sharing;

/// <summary>Where the base answers <paramref name="Answer"/>, the derived version answers <paramref name="Becomes"/>.</summary>
internal sealed record Knot(double Answer, double Becomes);

/// <summary>Isotonic calibration: the non-decreasing function of the answer with the least squared error, found by pooling adjacent violators (Barlow, Bartholomew, Bremner
/// and Brunk, "Statistical inference under order restrictions", 1972; for the outputs of models Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass
/// probability estimates", 2002). Straight between the pools and flat beyond the first and the last, so that no answer lies outside what was seen to come true.</summary>
internal static class IsotonicFit
{
    /// <summary>More tell no more, and each is compared with every answer.</summary>
    public const int MostKnots = 200;

    /// <summary>The answers' pools: each with its range of answers, the mean of its truths, and its rows.</summary>
    private readonly record struct Pool(double From, double To, double Mean, int Rows)
    {
        public Pool With(Pool next) => new(From, next.To, ((Mean * Rows) + (next.Mean * next.Rows)) / (Rows + next.Rows), Rows + next.Rows);
    }

    /// <summary>Its knots, by rising answer; a single one where the truth does not rise with the answer at all.</summary>
    public static IReadOnlyList<Knot> Fit(IEnumerable<(double Answer, double Truth)> rows)
    {
        var pools = new Stack<Pool>();
        foreach (var same in rows.GroupBy(row => row.Answer).OrderBy(group => group.Key))
        {
            var pool = new Pool(same.Key, same.Key, same.Average(row => row.Truth), same.Count());
            while (pools.TryPeek(out var before) && before.Mean >= pool.Mean) pool = pools.Pop().With(pool);
            pools.Push(pool);
        }

        if (pools.Count == 1) return [new(pools.Peek().From, pools.Peek().Mean)];
        Knot[] knots = [.. pools.Reverse().SelectMany(pool => pool.From == pool.To ? new[] { new Knot(pool.From, pool.Mean) } : [new(pool.From, pool.Mean), new(pool.To, pool.Mean)])];
        // Left out evenly: what is between two that stay lies between them, so the function still rises, from the same to the same.
        return knots.Length <= MostKnots ? knots : [.. Enumerable.Range(0, MostKnots).Select(i => knots[(long)i * (knots.Length - 1) / (MostKnots - 1)])];
    }

    /// <summary>The model with the function behind its output, in double precision. Each answer finds the stretch between two knots that it is in by counting the knots
    /// below it, and is then computed by itself: to the same bits whatever else is in the batch.</summary>
    public static byte[] Write(byte[] model, string output, IReadOnlyList<Knot> knots)
    {
        var change = new GraphChange(model, output);
        // Operators with these datatypes are there since operator set 8.
        change.NeedOpset("", 8);
        var stretches = knots.Count - 1;
        string Numbers(IEnumerable<double> values, params long[] dims) => change.Constant([.. values], dims, GraphWriter.Double);

        var answer = change.Add("Reshape", [change.Cast(change.Before, change.Element, GraphWriter.Double), change.Constant([-1, 1], [2], GraphWriter.Int64)]);
        var held = change.Add("Min", [change.Add("Max", [answer, Numbers([knots[0].Answer])]), Numbers([knots[^1].Answer])]);
        // Infinity stands in for the last knot, which no held answer is above: without an inner knot there is still one to count.
        var inner = Numbers([.. knots.Skip(1).SkipLast(1).Select(k => k.Answer), double.PositiveInfinity], 1, stretches);
        var above = change.Cast(change.Add("Greater", [held, inner]), 0, GraphWriter.Double);
        var stretch = change.Cast(change.Add("MatMul", [above, Numbers(Enumerable.Repeat(1.0, stretches), stretches, 1)]), GraphWriter.Double, GraphWriter.Int64);
        string Of(Func<Knot, Knot, double> value) => change.Add("Gather", [Numbers(knots.Zip(knots.Skip(1), value), stretches), stretch]);

        var share = change.Add("Div", [change.Add("Sub", [held, Of((from, _) => from.Answer)]), Of((from, to) => to.Answer - from.Answer)]);
        var risen = change.Add("Add", [Of((from, _) => from.Becomes), change.Add("Mul", [share, Of((from, to) => to.Becomes - from.Becomes)])]);
        // Rounding could lift the end of a stretch above the beginning of the next.
        var becomes = change.Add("Min", [risen, Of((_, to) => to.Becomes)]);
        var shaped = change.Add("Reshape", [becomes, change.Add("Shape", [change.Before])]);
        change.Add("Cast", [shaped], [GraphWriter.Int("to", change.Element)], output: output);
        return change.ToBytes();
    }
}
