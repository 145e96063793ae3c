using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;

namespace Platform.Registry.Training;

/// <summary>Runs the exported graph on rows of the table, as serving will: metrics and intervals are those of what is served.</summary>
internal sealed class GraphScorer(byte[] onnx) : IDisposable
{
    private const int BatchRows = 4_096;

    private readonly InferenceSession session = OnnxSession.Open(onnx);
    private readonly RunOptions options = new();

    public float[] Score(TrainingTable table, int[] rows, FeaturePlan plan, CancellationToken ct)
    {
        var scores = new float[rows.Length];
        string[] names = [.. plan.Specs.Select(s => s.Name)];
        for (int start = 0; start < rows.Length; start += BatchRows)
        {
            ct.ThrowIfCancellationRequested();
            var batch = rows[start..Math.Min(rows.Length, start + BatchRows)];
            var inputs = plan.Specs.Select(s => Tensor(s, table, batch)).ToList();
            try
            {
                using var outputs = session.Run(options, names, inputs, [FeaturePlan.Output]);
                outputs[0].GetTensorDataAsSpan<float>().CopyTo(scores.AsSpan(start));
            }
            finally
            {
                inputs.ForEach(i => i.Dispose());
            }
        }

        return scores;
    }

    public void Dispose()
    {
        options.Dispose();
        session.Dispose();
    }

    private static OrtValue Tensor(ColumnSpec spec, TrainingTable table, int[] rows)
    {
        if (table[spec.Name] is TextColumn text)
            return OrtValue.CreateFromStringTensor(new DenseTensor<string>(rows.Select(r => text[r]).ToArray(), [rows.Length, 1]));
        var number = (NumberColumn)table[spec.Name];
        return OrtValue.CreateTensorValueFromMemory(rows.Select(number.Input).ToArray(), [rows.Length, 1]);
    }
}
