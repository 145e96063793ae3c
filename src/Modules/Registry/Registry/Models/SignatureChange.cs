using Platform.Registry.Contracts;

namespace Platform.Registry.Models;

/// <summary>One difference that a caller may notice.</summary>
/// <param name="Where">input, output, column, prediction or interval.</param>
/// <param name="Name">Of the tensor or the column; null where there is one only.</param>
/// <param name="Breaking">A call that was right before is refused, or its answer cannot be read as before.</param>
/// <param name="What">In words.</param>
internal sealed record SignatureChange(string Where, string? Name, bool Breaking, string What)
{
    /// <summary>Inputs may take more than before and outputs promise more, never the other way round. Tensors are sent with their datatype, so that each change of one is breaking.</summary>
    public static IReadOnlyList<SignatureChange> Between(VersionAdded before, VersionAdded after)
    {
        List<SignatureChange> changes = [];
        Tensors("input", before.Signature.Inputs, after.Signature.Inputs, takes: true);
        Tensors("output", before.Signature.Outputs, after.Signature.Outputs, takes: false);
        Columns();
        if (before.PredictionOutput != after.PredictionOutput)
        {
            changes.Add(new("prediction", null, before.PredictionOutput is not null, after.PredictionOutput is not { } output ? "No output is the prediction any more." : before.PredictionOutput is { } other ? $"The prediction is '{output}', not '{other}'." : $"'{output}' is the prediction; none was."));
        }

        if (before.Calibration is { } had && after.Calibration?.Level != had.Level)
        {
            changes.Add(new("interval", null, after.Calibration is null, after.Calibration is { } has ? $"Intervals are of {has.Level:P0} and were of {had.Level:P0}." : "Answers have no interval any more."));
        }
        else if (before.Calibration is null && after.Calibration is { } now)
        {
            changes.Add(new("interval", null, false, $"Answers have an interval of {now.Level:P0}."));
        }

        return changes;

        void Tensors(string where, IReadOnlyList<TensorSpec> had, IReadOnlyList<TensorSpec> has, bool takes)
        {
            foreach (var old in had)
            {
                if (has.FirstOrDefault(tensor => tensor.Name == old.Name) is not { } tensor)
                {
                    changes.Add(new(where, old.Name, true, "It is gone."));
                    continue;
                }

                if (tensor.Datatype != old.Datatype) changes.Add(new(where, old.Name, true, $"It is {tensor.Datatype} and was {old.Datatype}."));
                if (tensor.Shape.SequenceEqual(old.Shape)) continue;
                // What takes may become freer, what gives may become more certain.
                var (narrow, wide) = takes ? (old.Shape, tensor.Shape) : (tensor.Shape, old.Shape);
                var fits = narrow.Count == wide.Count && narrow.Zip(wide).All(pair => pair.First == pair.Second || pair.Second == -1);
                changes.Add(new(where, old.Name, !fits, $"Its shape is {Shape(tensor)} and was {Shape(old)}."));
            }

            foreach (var tensor in has.Where(tensor => had.All(old => old.Name != tensor.Name)))
            {
                changes.Add(new(where, tensor.Name, takes && !IsOptionalColumn(tensor.Name), takes ? $"It is new ({tensor.Datatype} {Shape(tensor)})." : $"It is given as well ({tensor.Datatype} {Shape(tensor)})."));
            }
        }

        bool IsOptionalColumn(string name) => after.Columns.FirstOrDefault(column => column.Name == name) is { Required: false };

        void Columns()
        {
            // What comes and goes was told as inputs, which columns are.
            foreach (var old in before.Columns)
            {
                if (after.Columns.FirstOrDefault(column => column.Name == old.Name) is not { } column) continue;
                if (column.Kind != old.Kind) changes.Add(new("column", old.Name, true, $"It is a {Word(column)} and was a {Word(old)}."));
                if (column.Required != old.Required) changes.Add(new("column", old.Name, column.Required, column.Required ? "It may not be missing any more." : "It may be missing."));
            }

            if (before.Columns.Count > 0 && after.Columns.Count == 0) changes.Add(new("column", null, true, "It is not asked by named columns any more, only by tensors."));
        }

        static string Word(ColumnSpec column) => column.Kind.ToString().ToLowerInvariant();

        static string Shape(TensorSpec tensor) => $"[{string.Join(", ", tensor.Shape.Select(dimension => dimension < 0 ? "any" : dimension.ToString()))}]";
    }
}
