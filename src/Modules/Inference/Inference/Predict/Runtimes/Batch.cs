namespace Platform.Inference.Predict.Runtimes;

/// <summary>Rows of several requests laid one after another, and taken apart again.</summary>
internal static class Batch
{
    /// <summary>How many rows these inputs are, when all say the same; else 0, and they must be run by themselves.</summary>
    public static int Rows(Tensor[] inputs)
    {
        if (inputs.Length == 0) return 0;
        var rows = inputs[0].Shape is [var first, ..] ? first : 0;
        foreach (var input in inputs)
        {
            if (!input.Layout.HasFreeBatch || input.Shape.Length == 0 || input.Shape[0] != rows) return 0;
        }
        return rows <= int.MaxValue ? (int)rows : 0;
    }

    /// <summary>Whether all but the number of rows is the same.</summary>
    public static bool Match(Tensor[] one, Tensor[] other)
    {
        for (var i = 0; i < one.Length; i++)
        {
            if (!one[i].Shape.AsSpan(1).SequenceEqual(other[i].Shape.AsSpan(1))) return false;
        }
        return true;
    }

    public static void Join(IReadOnlyList<TensorSet> parts, TensorSet whole)
    {
        for (var i = 0; i < whole.Inputs.Length; i++)
        {
            var to = whole.Inputs[i];
            var (rows, count) = (0L, 0);
            foreach (var part in parts)
            {
                rows += part.Inputs[i].Shape[0];
                count += part.Inputs[i].Count;
            }
            to.Clear();
            to.SetShape(parts[0].Inputs[i].Shape);
            to.Shape[0] = rows;
            to.Resize(count);
            var at = 0;
            foreach (var part in parts) at = Copy(part.Inputs[i], 0, to, at, part.Inputs[i].Count);
        }
    }

    /// <summary>Gives each part its rows of the wanted outputs. False, and nothing is given, when an output has not one row for each that went in.</summary>
    public static bool TrySplit(TensorSet whole, IReadOnlyList<TensorSet> parts, ReadOnlySpan<int> wanted)
    {
        var rows = whole.Inputs[0].Shape[0];
        foreach (var index in wanted)
        {
            if (whole.Outputs[index].Shape is not [var first, ..] || first != rows) return false;
        }
        foreach (var index in wanted)
        {
            var from = whole.Outputs[index];
            var each = (int)(from.Count / rows);
            var at = 0;
            foreach (var part in parts)
            {
                var (to, mine) = (part.Outputs[index], part.Inputs[0].Shape[0]);
                to.Clear();
                to.SetShape(from.Shape);
                to.Shape[0] = mine;
                to.Resize((int)mine * each);
                Copy(from, at, to, 0, to.Count);
                at += to.Count;
            }
        }
        return true;
    }

    /// <summary>Whether row <paramref name="row"/> of <paramref name="rows"/> is exactly this one-row tensor.</summary>
    public static bool IsRow(Tensor whole, int row, int rows, Tensor one)
    {
        if (one.Shape is not [1, ..] || whole.Shape.Length != one.Shape.Length || whole.Shape[0] != rows || !whole.Shape.AsSpan(1).SequenceEqual(one.Shape.AsSpan(1))) return false;
        if (!one.IsText)
        {
            var size = one.Raw.Length;
            return whole.Raw.Slice(row * size, size).SequenceEqual(one.Raw);
        }
        for (var i = 0; i < one.Count; i++)
        {
            if (!whole.Text((row * one.Count) + i).SequenceEqual(one.Text(i))) return false;
        }
        return true;
    }

    private static int Copy(Tensor from, int start, Tensor to, int at, int count)
    {
        if (from.IsText)
        {
            for (var i = 0; i < count; i++) to.SetText(at + i, from.Text(start + i));
        }
        else
        {
            var size = from.Layout.Datatype.Size();
            from.Raw.Slice(start * size, count * size).CopyTo(to.Raw[(at * size)..]);
        }
        return at + count;
    }
}
