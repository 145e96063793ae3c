using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;

namespace Platform.Registry.Training;

/// <summary>ML.NET's side of the preprocessing, fitted on training rows: means for missing numbers and flags where they were, calendar parts of dates,
/// one-hot categories, all in one vector. <see cref="GraphExport"/> writes the same as ONNX operators, and the parity gate holds the two together.</summary>
internal sealed class Preprocessing
{
    public const string Features = "Features";
    private const string Filled = "Filled";
    private const string Flags = "Flags";
    private const string Dates = "Dates";

    private readonly TransformerChain<ColumnConcatenatingTransformer> fitted;

    public Preprocessing(MLContext ml, TableView training, FeaturePlan plan)
    {
        IEstimator<ITransformer>? chain = null;
        var parts = new List<string>();
        void Add(string output, IEstimator<ITransformer> step)
        {
            chain = chain is null ? step : chain.Append(step);
            parts.Add(output);
        }

        if (plan.Numbers.Count > 0)
            Add(Filled, ml.Transforms.ReplaceMissingValues(Filled, TableView.Numbers, MissingValueReplacingEstimator.ReplacementMode.Mean, imputeBySlot: true));
        if (plan.Holes.Count > 0)
            Add(Flags, ml.Transforms.IndicateMissingValues(Flags, TableView.Holes).Append(ml.Transforms.Conversion.ConvertType(Flags, Flags, DataKind.Single)));
        if (plan.Dates.Count > 0)
            Add(Dates, CalendarParts(ml, plan.Dates));
        for (int i = 0; i < plan.Categories.Count; i++)
        {
            var text = TableView.Text(i);
            var values = ml.Data.LoadFromEnumerable(plan.Categories[i].Values.Select(v => new Key { Value = v.Length == 0 ? TableView.MissingText : v }));
            Add("OneHot" + text, ml.Transforms.Categorical.OneHotEncoding("OneHot" + text, text, maximumNumberOfKeys: FeaturePlan.MaxCategories + 1, keyData: values));
        }

        fitted = chain!.Append(ml.Transforms.Concatenate(Features, [.. parts])).Fit(training);
        Length = ((VectorDataViewType)fitted.GetOutputSchema(training.Schema)[Features].Type).Size;
    }

    /// <summary>Features of a row.</summary>
    public int Length { get; }

    public IDataView Transform(TableView rows) => fitted.Transform(rows);

    /// <summary>What stands in for each missing number: ML.NET does not show it, but a row of nothing but missing values does.</summary>
    public float[] Fills(TrainingTable table, FeaturePlan plan)
    {
        if (plan.Numbers.Count == 0) return [];
        var row = table.Take([0]);
        foreach (var number in row.Columns.OfType<NumberColumn>()) number[0] = double.NaN;
        return fitted.Transform(new TableView(row, [0], plan)).GetColumn<float[]>(Filled).Single();
    }

    private static CustomMappingEstimator<FilledRow, DateRow> CalendarParts(MLContext ml, IReadOnlyList<int> dates)
    {
        var output = SchemaDefinition.Create(typeof(DateRow));
        output[nameof(DateRow.Dates)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, dates.Count * DateParts.PerDate);
        return ml.Transforms.CustomMapping<FilledRow, DateRow>(
            (row, parts) =>
            {
                parts.Dates = new float[dates.Count * DateParts.PerDate];
                for (int i = 0; i < dates.Count; i++)
                    (parts.Dates[i], parts.Dates[dates.Count + i], parts.Dates[(2 * dates.Count) + i]) = DateParts.Of(row.Filled[dates[i]]);
            },
            contractName: null, outputSchemaDefinition: output);
    }

    private sealed class Key
    {
        public string Value { get; set; } = "";
    }

    private sealed class FilledRow
    {
        public float[] Filled { get; set; } = [];
    }

    private sealed class DateRow
    {
        public float[] Dates { get; set; } = [];
    }
}
