using Platform.Registry.Onnx;

namespace Platform.Registry.Training;

/// <summary>Writes the whole model as one ONNX graph: a person's raw columns in, the prediction in the target's own unit out.</summary>
internal static class GraphExport
{
    public static byte[] Write(FeaturePlan plan, float[] fills, FittedCandidate model, TargetScale scale, string target)
    {
        var graph = new GraphWriter([.. plan.Specs.Select(s => s.Name), FeaturePlan.Output]);
        var features = Features(graph, plan, fills);
        var score = model.Write(graph, graph.Cast(features, GraphWriter.Double));

        var value = graph.Add("Mul", [score, graph.Constant("target.deviation", [scale.Deviation])]);
        value = graph.Add("Add", [value, graph.Constant("target.mean", [scale.Mean])]);
        if (scale.Log) value = graph.Add("Exp", [value]);
        graph.Add("Cast", [value], [GraphWriter.Int("to", GraphWriter.Float)], output: FeaturePlan.Output);
        graph.Output(FeaturePlan.Output, GraphWriter.Float);
        return graph.ToBytes(new Dictionary<string, string> { ["target"] = target });
    }

    private static string Features(GraphWriter graph, FeaturePlan plan, float[] fills)
    {
        // Inputs stand in the dataset's order, which is the order people know.
        foreach (var spec in plan.Specs)
            graph.Column(spec.Name, spec.Kind is Contracts.ColumnKind.Category ? GraphWriter.Text : GraphWriter.Float);

        var parts = new List<string>();
        if (plan.Numbers.Count > 0)
        {
            var raw = Joined(graph, [.. plan.Numbers.Select(n => n.Name)]);
            var filled = graph.Add("Imputer", [raw],
                [GraphWriter.Reals("imputed_value_floats", fills), GraphWriter.Real("replaced_value_float", float.NaN)], GraphWriter.Ml);
            parts.Add(filled);
            if (plan.Holes.Count > 0)
                parts.Add(graph.Cast(graph.Add("IsNaN", [Picked(graph, raw, [.. plan.Holes.Select(h => (long)plan.Numbers.ToList().IndexOf(h))])]), GraphWriter.Float));
            if (plan.Dates.Count > 0)
                parts.AddRange(CalendarParts(graph, Picked(graph, filled, [.. plan.Dates.Select(d => (long)d)])));
        }

        foreach (var category in plan.Categories)
        {
            var hot = graph.Add("OneHotEncoder", [category.Name], [GraphWriter.Words("cats_strings", category.Values), GraphWriter.Int("zeros", 1)], GraphWriter.Ml);
            parts.Add(graph.Add("Flatten", [hot], [GraphWriter.Int("axis", 1)]));
        }

        return Joined(graph, parts);
    }

    /// <summary>The same whole-number arithmetic as <see cref="DateParts.Of"/>; ONNX's Mod takes the divisor's sign, so days before 1970 work too.</summary>
    private static string[] CalendarParts(GraphWriter graph, string days)
    {
        var held = graph.Add("Clip", [days, graph.Constant("first.day", [DateParts.FirstDay]), graph.Constant("last.day", [DateParts.LastDay])]);
        var day = graph.Cast(graph.Add("Floor", [held]), GraphWriter.Int64);
        var scale = graph.Constant("day.scale", [DateParts.DayScale]);
        var inYear = graph.Add("Mod", [graph.Add("Mul", [day, scale]), graph.Constant("year.length", [DateParts.YearLength])]);
        var season = graph.Add("Div", [inYear, scale]);
        var weekday = graph.Add("Mod", [graph.Add("Add", [day, graph.Constant("weekday.shift", [DateParts.WeekdayShift])]), graph.Constant("week", [7L])]);
        return
        [
            graph.Add("Gather", [graph.Constant("season.sine", DateParts.Sine, DateParts.Sine.Length), season]),
            graph.Add("Gather", [graph.Constant("season.cosine", DateParts.Cosine, DateParts.Cosine.Length), season]),
            graph.Cast(weekday, GraphWriter.Float),
        ];
    }

    private static string Joined(GraphWriter graph, IReadOnlyList<string> values) =>
        values is [var only] ? only : graph.Add("Concat", values, [GraphWriter.Int("axis", 1)]);

    private static string Picked(GraphWriter graph, string value, long[] columns) =>
        graph.Add("Gather", [value, graph.Constant("columns", columns, columns.Length)], [GraphWriter.Int("axis", 1)]);
}
