using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Platform.Registry.Sharing;

/// <summary>The version that one was derived from, and whose.</summary>
internal sealed record BaseVersion(string Tenant, string Model, int Version, string ArtifactSha256);

/// <summary>How a derived version was fitted to the deriving tenant's own rows.</summary>
/// <param name="DatasetSha256">The rows, by their content.</param>
/// <param name="FittedRows">Rows that slope and intercept were fitted on; 0 where they were not.</param>
/// <param name="Slope">The base's answer is multiplied by this, inside the graph; null where only the interval was made.</param>
/// <param name="Intercept">And this is added to it.</param>
/// <param name="Before">How good the base is on the rows that the interval was made from.</param>
/// <param name="After">How good the derived version is on the same rows.</param>
internal sealed record Customisation(
    CalibrationMethod Method, string Dataset, string DatasetSha256, string Target, int FittedRows, double? Slope, double? Intercept, TrainingMetrics Before, TrainingMetrics After);

internal enum CalibrationMethod
{
    /// <summary>The answers stay as they are and get an interval.</summary>
    Interval,
    /// <summary>The answers are multiplied and shifted to fit the rows, and get an interval.</summary>
    Affine,
}

/// <summary>Fits a base model to rows of its deriver's, in a child process: scores them, fits a line on every second row, and makes the interval table from the others.</summary>
internal sealed class CustomiseWork : IChildWork
{
    public const string WorkName = "customise";

    /// <summary>Fewer say nothing of a 90 % interval.</summary>
    private const int LeastRows = 40;

    private const int BatchRows = 4_096;

    /// <param name="Output">The prediction's name.</param>
    internal sealed record Header(
        CalibrationMethod Method, long ModelBytes, ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns, string Output, IReadOnlyList<TrainingColumn> Dataset, string Target);

    internal sealed record Fitted(int FittedRows, double? Slope, double? Intercept, TrainingMetrics Before, TrainingMetrics After, ConformalTable Calibration);

    public string Name => WorkName;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var header = await ChildFrames.ReadHeaderAsync<Header>(input, ct);
        var model = new byte[header.ModelBytes];
        await input.ReadExactlyAsync(model, ct);
        var table = await TrainingTable.ReadAsync(input, header.Dataset, header.Target, ct);
        if (table.Refusal is { } unreadable) throw new ChildWorkRefusedException(unreadable);
        if (table.Value.Rows < LeastRows)
            throw new ChildWorkRefusedException(Refusal.Invalid("too-few-rows", $"The dataset has {table.Value.Rows} rows with a value for '{header.Target}'; calibration takes {LeastRows} or more.", "calibration.dataset", "Upload more rows."));

        var (fitted, changed) = Fit(header, model, table.Value);
        await ChildFrames.WriteHeaderAsync(output, fitted, ct);
        if (changed is not null) await output.WriteAsync(changed, ct);
    }

    internal static (Fitted Fitted, byte[]? Changed) Fit(Header header, byte[] model, TrainingTable table)
    {
        var target = (NumberColumn)table[header.Target];
        double[] truth = [.. Enumerable.Range(0, table.Rows).Select(row => target[row])];
        float[] answers;
        try
        {
            answers = Score(header, model, table);
        }
        catch (OnnxRuntimeException)
        {
            throw new ChildWorkRefusedException(Refusal.Invalid("model-fails-on-rows", "The base model does not run on the dataset's rows.", "calibration.dataset", "Use rows with the values that the model takes."));
        }

        // With an interval alone nothing is fitted, and all rows measure it.
        int[] measured = [.. Enumerable.Range(0, table.Rows).Where(row => header.Method is CalibrationMethod.Interval || row % 2 == 1)];
        var (slope, intercept) = header.Method is CalibrationMethod.Affine ? Line([.. Enumerable.Range(0, table.Rows).Where(row => row % 2 == 0)], truth, answers) : (1.0, 0.0);
        double[] held = [.. measured.Select(row => truth[row])];
        float[] before = [.. measured.Select(row => answers[row])], after = [.. before.Select(answer => (float)((slope * answer) + intercept))];
        var intervals = Judgement.Calibrate(held, after);
        var isAffine = header.Method is CalibrationMethod.Affine;
        return (new(isAffine ? table.Rows - measured.Length : 0, isAffine ? slope : null, isAffine ? intercept : null, Judgement.Metrics(held, before), Judgement.Metrics(held, after, intervals), intervals),
            isAffine ? Scaled(model, header.Output, slope, intercept) : null);
    }

    /// <summary>Least squares of the truth over the answer.</summary>
    private static (double Slope, double Intercept) Line(int[] rows, double[] truth, float[] answers)
    {
        var (meanAnswer, meanTruth) = (rows.Average(row => (double)answers[row]), rows.Average(row => truth[row]));
        var spread = rows.Sum(row => (answers[row] - meanAnswer) * (answers[row] - meanAnswer));
        if (!(spread > 0))
            throw new ChildWorkRefusedException(Refusal.Invalid("constant-answers", "The base model gives the same answer for all rows, so no line can be fitted.", "calibration.method", "Calibrate the interval alone, or use other rows."));
        var slope = rows.Sum(row => (answers[row] - meanAnswer) * (truth[row] - meanTruth)) / spread;
        return (slope, meanTruth - (slope * meanAnswer));
    }

    /// <summary>The model with a multiplication and an addition behind its output, which keeps its name. Everything else in the file stays as it is.</summary>
    internal static byte[] Scaled(byte[] file, string output, double slope, double intercept)
    {
        var model = OnnxModel.Parser.ParseFrom(file);
        var graph = model.Graph;
        HashSet<string> taken = [.. graph.Node.SelectMany(n => n.Output), .. graph.Input.Select(i => i.Name), .. graph.Initializer.Select(t => t.Name)];
        string Fresh(string name)
        {
            while (!taken.Add(name)) name += "_";
            return name;
        }

        var (before, multiplied, by, plus) = (Fresh(output + "/base"), Fresh(output + "/scaled"), Fresh(output + "/slope"), Fresh(output + "/intercept"));
        Rename(graph, output, before);
        var element = graph.Output.Single(o => o.Name == output).Type.Tensor.Element;
        graph.Initializer.Add(Constant(by, slope, element));
        graph.Initializer.Add(Constant(plus, intercept, element));
        graph.Node.Add(new OnnxNode { OpType = "Mul", Input = { before, by }, Output = { multiplied } });
        graph.Node.Add(new OnnxNode { OpType = "Add", Input = { multiplied, plus }, Output = { output } });
        return model.ToByteArray();
    }

    private static OnnxTensor Constant(string name, double value, int element) => element == GraphWriter.Double
        ? new OnnxTensor { Name = name, DataType = element, DoubleData = { value } } : new OnnxTensor { Name = name, DataType = element, FloatData = { (float)value } };

    /// <summary>Wherever the value is made or used, branches included; they see the values around them by name.</summary>
    private static void Rename(OnnxGraph graph, string from, string to)
    {
        foreach (var tensor in graph.Initializer.Where(t => t.Name == from)) tensor.Name = to;
        foreach (var node in graph.Node)
        {
            for (var i = 0; i < node.Input.Count; i++) if (node.Input[i] == from) node.Input[i] = to;
            for (var i = 0; i < node.Output.Count; i++) if (node.Output[i] == from) node.Output[i] = to;
            foreach (var branch in node.Attribute.SelectMany(a => a.G is null ? a.Graphs : a.Graphs.Prepend(a.G)))
            {
                Rename(branch, from, to);
                foreach (var value in branch.Output.Where(o => o.Name == from)) value.Name = to;
            }
        }
    }

    private static float[] Score(Header header, byte[] model, TrainingTable table)
    {
        using var session = OnnxSession.Open(model);
        using var options = new RunOptions();
        string[] names = [.. header.Columns.Select(column => column.Name)];
        var answers = new float[table.Rows];
        for (var start = 0; start < table.Rows; start += BatchRows)
        {
            int[] rows = [.. Enumerable.Range(start, Math.Min(BatchRows, table.Rows - start))];
            var inputs = header.Columns.Select(column => Tensor(table[column.Name], header.Signature.Inputs.Single(i => i.Name == column.Name).Datatype, rows)).ToList();
            try
            {
                using var outputs = session.Run(options, names, inputs, [header.Output]);
                if (outputs[0].GetTensorTypeAndShape().ElementCount != rows.Length)
                    throw new ChildWorkRefusedException(Refusal.Invalid("not-one-answer-a-row", $"The output '{header.Output}' has not one number a row.", "calibration", "Derive without calibration."));
                for (var i = 0; i < rows.Length; i++)
                {
                    answers[start + i] = outputs[0].GetTensorTypeAndShape().ElementDataType is TensorElementType.Double ? (float)outputs[0].GetTensorDataAsSpan<double>()[i] : outputs[0].GetTensorDataAsSpan<float>()[i];
                }
            }
            finally
            {
                inputs.ForEach(input => input.Dispose());
            }
        }

        return answers;
    }

    private static OrtValue Tensor(TableColumn column, string datatype, int[] rows)
    {
        long[] shape = [rows.Length, 1];
        if (datatype is "BYTES") return OrtValue.CreateFromStringTensor(new DenseTensor<string>(rows.Select(row => column is TextColumn text ? text[row] : Text(column, row)).ToArray(), [rows.Length, 1]));
        var numbers = (NumberColumn)column;
        return datatype switch
        {
            "FP64" => OrtValue.CreateTensorValueFromMemory(rows.Select(row => (double)numbers.Input(row)).ToArray(), shape),
            "INT64" => OrtValue.CreateTensorValueFromMemory(rows.Select(row => (long)numbers.Input(row)).ToArray(), shape),
            "BOOL" => OrtValue.CreateTensorValueFromMemory(rows.Select(row => numbers.Input(row) > 0).ToArray(), shape),
            _ => OrtValue.CreateTensorValueFromMemory(rows.Select(numbers.Input).ToArray(), shape),
        };
    }

    private static string Text(TableColumn column, int row) => ((NumberColumn)column)[row].ToString("R", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Why the dataset cannot calibrate the base; null when it can.</summary>
    internal static Refusal? Judge(PublishedFacts facts, OpenedDataset dataset, string target)
    {
        if (facts.Kind is not ArtifactKind.Onnx || facts.Columns.Count == 0 || facts.PredictionOutput is null
            || facts.Signature.Outputs.First(o => o.Name == facts.PredictionOutput).Datatype is not ("FP32" or "FP64"))
        {
            return Refusal.Invalid("base-not-calibratable", "Only an ONNX model of a table, with a floating-point prediction, can be calibrated.", "calibration", "Derive without calibration.");
        }

        if (dataset.Columns.FirstOrDefault(c => c.Name == target) is not { Type: DatasetColumnType.Integer or DatasetColumnType.Number })
            return Refusal.Invalid("unknown-column", $"The dataset '{dataset.Dataset}' has no column of numbers '{target}'.", "calibration.target", "Name the column that holds what came true.");
        foreach (var column in facts.Columns)
        {
            var found = dataset.Columns.FirstOrDefault(c => c.Name == column.Name);
            if (found is null) return Refusal.Invalid("unknown-column", $"The dataset '{dataset.Dataset}' lacks the model's column '{column.Name}'.", "calibration.dataset", "Upload rows with all columns of the model.");
            if (found.Type is DatasetColumnType.Text != (column.Kind is ColumnKind.Category) && column.Kind is not ColumnKind.Category)
                return Refusal.Invalid("column-type", $"The dataset's column '{column.Name}' holds texts, and the model takes numbers there.", "calibration.dataset", "Upload rows with the types that the model takes.");
            if (found.Missing > 0 && column.Required)
                return Refusal.Invalid("column-missing-values", $"The dataset's column '{column.Name}' is empty in {found.Missing:N0} rows, which the model cannot do without.", "calibration.dataset", "Leave those rows out.");
        }

        return null;
    }
}
