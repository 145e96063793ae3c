using Platform.Features.Contracts;
using Platform.Kernel;

namespace Platform.Registry.Training;

/// <summary>The proof that the graph which will be served is the model that was trained: ML.NET's own answers beside ONNX Runtime's,
/// on up to 1,000 rows as they are and on the same rows with values taken out, texts never seen and numbers out of range.</summary>
internal static class ParityGate
{
    private const int MostRows = 1_000;
    private const double Relative = 1e-5;
    private const double OfScale = 1e-6;

    public static TrainingTable Sample(TrainingTable table, int seed)
    {
        var count = Math.Min(MostRows, table.Rows);
        int[] rows = [.. Enumerable.Range(0, count).Select(i => (int)((long)i * table.Rows / count))];
        var sample = table.Take([.. rows, .. rows]);
        var random = new Random(seed);
        for (int row = count; row < sample.Rows; row++)
        {
            foreach (var column in sample.Columns)
            {
                var lot = random.NextDouble();
                switch (column)
                {
                    case NumberColumn number when lot < 0.15: number[row] = double.NaN; break;
                    case NumberColumn number when lot < 0.25: number[row] = Displaced(number, row, random); break;
                    case TextColumn text when lot < 0.15: text[row] = ""; break;
                    case TextColumn text when lot < 0.3: text[row] = "never seen " + row; break;
                }
            }
        }

        return sample;
    }

    /// <summary>The largest differences, or the refusal that stops the version from coming to be.</summary>
    public static Result<ParityReport> Judge(float[] own, float[] graph, double targetScale)
    {
        double worstAbsolute = 0, worstRelative = 0;
        for (int row = 0; row < own.Length; row++)
        {
            var difference = Math.Abs((double)own[row] - graph[row]);
            if (!(difference <= (Relative * Math.Abs(own[row])) + (OfScale * targetScale)))
                return Refusal.Conflict("export-differs",
                    $"The exported model does not give the trained model's answers: {graph[row]:G9} in place of {own[row]:G9}. No version was made.",
                    mend: "Report this with the dataset; leaving out columns with extreme values may avoid it.");
            worstAbsolute = Math.Max(worstAbsolute, difference);
            worstRelative = Math.Max(worstRelative, Math.Max(0, difference - (OfScale * targetScale)) / Math.Max(Math.Abs(own[row]), double.Epsilon));
        }

        return new ParityReport(own.Length, worstAbsolute, worstRelative);
    }

    private static double Displaced(NumberColumn column, int row, Random random) => column.Type switch
    {
        DatasetColumnType.Boolean => 1 - column[row],
        DatasetColumnType.Date => column[row] + random.Next(-40_000, 40_000),
        _ => column[row] * 3 * (random.NextDouble() - 0.5),
    };
}
