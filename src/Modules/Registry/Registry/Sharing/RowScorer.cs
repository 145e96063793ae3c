using System.Globalization;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Platform.Registry.Sharing;

/// <summary>Runs a model of named columns on rows of its deriver's, as serving will.</summary>
internal sealed class RowScorer(byte[] model, CustomiseWork.Header header) : IDisposable
{
    private const int BatchRows = 4_096;

    private readonly InferenceSession session = OnnxSession.Open(model);
    private readonly RunOptions options = new();

    /// <summary>The rows as the model's inputs carry them, and nothing else of the dataset: texts where it takes texts, and numbers cut to what its datatype holds.</summary>
    public static TrainingTable AsInputs(TrainingTable table, CustomiseWork.Header header) =>
        new([.. header.Columns.Select(column => AsInput(table[column.Name], Datatype(header, column), table.Rows))], table.Rows, 0);

    public float[] Score(TrainingTable rows, CancellationToken ct)
    {
        string[] names = [.. header.Columns.Select(column => column.Name)];
        var answers = new float[rows.Rows];
        for (var start = 0; start < rows.Rows; start += BatchRows)
        {
            ct.ThrowIfCancellationRequested();
            int[] batch = [.. Enumerable.Range(start, Math.Min(BatchRows, rows.Rows - start))];
            var inputs = header.Columns.Select(column => Tensor(rows[column.Name], Datatype(header, column), batch)).ToList();
            try
            {
                using var outputs = session.Run(options, names, inputs, [header.Output]);
                if (outputs[0].GetTensorTypeAndShape().ElementCount != batch.Length)
                    throw new ChildWorkRefusedException(Refusal.Invalid("not-one-answer-a-row", $"The output '{header.Output}' has not one number a row.", header.Field, "Derive without it."));
                for (var i = 0; i < batch.Length; i++)
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

    public void Dispose()
    {
        options.Dispose();
        session.Dispose();
    }

    private static string Datatype(CustomiseWork.Header header, ColumnSpec column) => header.Signature.Inputs.Single(input => input.Name == column.Name).Datatype;

    private static TableColumn AsInput(TableColumn column, string datatype, int rows)
    {
        if (column is not NumberColumn numbers) return column;
        if (datatype is "BYTES")
        {
            var texts = new TextColumn(column.Name);
            for (var row = 0; row < rows; row++) texts.Add(Text(numbers, row));
            return texts;
        }

        Func<int, double> carried = datatype switch
        {
            "INT64" => row => (long)numbers.Input(row),
            "BOOL" => row => numbers.Input(row) > 0 ? 1 : 0,
            _ => row => numbers.Input(row),
        };
        return NumberColumn.Of(column.Name, column.Type, Enumerable.Range(0, rows).Select(carried));
    }

    /// <summary>What a caller sends for it.</summary>
    private static string Text(NumberColumn column, int row) => (column.Type, column[row]) switch
    {
        (_, double.NaN) => "",
        (DatasetColumnType.Boolean, var flag) => flag > 0 ? "true" : "false",
        (DatasetColumnType.Date, var days) => DataSplit.Iso(Math.Floor(days)),
        (_, var number) => number.ToString("R", CultureInfo.InvariantCulture),
    };

    private static OrtValue Tensor(TableColumn column, string datatype, int[] rows)
    {
        long[] shape = [rows.Length, 1];
        if (column is TextColumn text) return OrtValue.CreateFromStringTensor(new DenseTensor<string>(rows.Select(row => text[row]).ToArray(), [rows.Length, 1]));
        var numbers = (NumberColumn)column;
        return datatype switch
        {
            "FP64" => OrtValue.CreateTensorValueFromMemory(rows.Select(row => (double)numbers.Input(row)).ToArray(), shape),
            "INT64" => OrtValue.CreateTensorValueFromMemory(rows.Select(row => (long)numbers.Input(row)).ToArray(), shape),
            "BOOL" => OrtValue.CreateTensorValueFromMemory(rows.Select(row => numbers.Input(row) > 0).ToArray(), shape),
            _ => OrtValue.CreateTensorValueFromMemory(rows.Select(numbers.Input).ToArray(), shape),
        };
    }
}
