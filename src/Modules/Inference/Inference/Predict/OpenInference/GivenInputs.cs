using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The inputs of one request as they come in, whatever they are written in: each is held against the model's, and none may be missing at the end.</summary>
/// <param name="given">Which of the plan's inputs have come; as long as there are inputs, and false at first.</param>
internal readonly ref struct GivenInputs(PredictionWork work, Span<bool> given)
{
    public const int MaxRank = 16;

    private readonly Span<bool> given = given;

    public PredictionWork Work => work;

    /// <summary>The tensor for this input, made ready for as many elements as its shape says.</summary>
    /// <param name="most">The elements that its data can be at most, so that memory is not taken for what cannot follow.</param>
    public Refusal? Find(string name, string datatype, scoped ReadOnlySpan<long> shape, int most, out Tensor? tensor)
    {
        tensor = null;
        var index = IndexOf(name);
        if (index < 0) return Refusal.Invalid("unknown-input", $"The model has no input '{Short(name)}'.", Short(name), Nearest.Mend(name, [.. work.Plan.Inputs.Select(layout => layout.Name)]));
        var expected = work.Plan.Inputs[index];
        if (given[index]) return Refusal.Invalid("duplicate-input", $"The input '{name}' is there twice.", name, "Send each input once.");
        if (datatype != expected.Datatype.Name())
            return Refusal.Invalid("wrong-datatype", $"The input '{name}' is {Short(datatype)}; the model takes {expected.Datatype.Name()}.", name, $"Send {expected.Datatype.Name()}.");
        var fits = shape.Length == expected.Shape.Length;
        for (var i = 0; fits && i < shape.Length; i++) fits = expected.Shape[i] < 0 || expected.Shape[i] == shape[i];
        if (!fits)
            return Refusal.Invalid("wrong-shape", $"The input '{name}' has the shape [{string.Join(",", shape.ToArray())}]; the model takes [{string.Join(",", expected.Shape)}].", name, "Send that shape; -1 stands for any size.");
        // The other sizes of an empty tensor still have to be of this world, because a runtime multiplies them too.
        var (count, isEmpty) = (1L, shape.Contains(0));
        foreach (var size in shape)
        {
            if (size != 0 && count > (isEmpty ? int.MaxValue : most) / size) return Mismatch(name, "more elements than the body can hold", "fewer");
            count *= Math.Max(size, 1);
        }
        given[index] = true;
        tensor = work.Tensors.Inputs[index];
        tensor.SetShape(shape);
        tensor.Resize(isEmpty ? 0 : (int)count);
        return null;
    }

    /// <summary>The one input of a model whose request is nothing but that input's bytes. Its shape is the model's, with the one dimension that is free
    /// worked out from the length; of several free ones, the first counts as a batch of one. A text is the whole body.</summary>
    public Refusal? OnlyRaw(ReadOnlySpan<byte> bytes)
    {
        if (work.Plan.Inputs is not [var layout])
            return Refusal.Invalid("not-one-input", $"The body is nothing but bytes, and the model takes {work.Plan.Inputs.Length} inputs.", "Inference-Header-Content-Length", "Put a JSON header before the bytes that says which are whose.");
        Span<long> shape = stackalloc long[layout.Shape.Length];
        layout.Shape.CopyTo(shape);
        var free = layout.Shape.Count(size => size < 0);
        if (free > 1 && layout.HasFreeBatch) (shape[0], free) = (1, free - 1);
        if (free > 1 || (free == 1 && layout.Datatype is not Datatype.Bytes && Deduce(shape, bytes.Length, layout.Datatype.Size()) is false))
            return Refusal.Invalid("wrong-shape", $"The shape of input '{layout.Name}', [{string.Join(",", layout.Shape)}], cannot be worked out from {bytes.Length:N0} bytes.", layout.Name, "Put a JSON header before the bytes that says the shape.");
        if (layout.Datatype is Datatype.Bytes) shape.Replace(-1, 1);
        if (Find(layout.Name, layout.Datatype.Name(), shape, bytes.Length + 1, out var tensor) is { } misfit) return misfit;
        if (layout.Datatype is not Datatype.Bytes) return TensorBytes.Read(bytes, tensor!);
        if (tensor!.Count != 1) return Mismatch(layout.Name, $"{tensor.Count} texts", "one, the whole body");
        tensor.SetText(0, bytes);
        return null;
    }

    /// <summary>When all has been read: nothing is missing, and so many rows it is.</summary>
    public Refusal? Complete()
    {
        if (given.IndexOf(false) is >= 0 and var index)
        {
            var missing = work.Plan.Inputs[index];
            return Refusal.Invalid("missing-input", $"The input '{missing.Name}' is missing.", missing.Name, $"The model takes: {string.Join("; ", work.Plan.Inputs.Take(20).Select(layout => layout.ToString()))}.");
        }
        var batch = Array.FindIndex(work.Plan.Inputs, layout => layout.HasFreeBatch);
        work.Units = batch < 0 ? 1 : (int)Math.Max(1, work.Tensors.Inputs[batch].Shape[0]);
        return null;
    }

    private int IndexOf(string name)
    {
        // A search with a lambda would make one for every input of every request.
        for (var i = 0; i < work.Plan.Inputs.Length; i++)
        {
            if (work.Plan.Inputs[i].Name == name) return i;
        }
        return -1;
    }

    /// <summary>The index of an output that is asked for, or why it cannot be.</summary>
    public static Refusal? FindOutput(PredictionWork work, string name, List<int> before, out int index)
    {
        index = Array.FindIndex(work.Plan.Outputs, layout => layout.Name == name);
        if (index < 0) return Refusal.Invalid("unknown-output", $"The model has no output '{Short(name)}'.", Short(name), Nearest.Mend(name, [.. work.Plan.Outputs.Select(layout => layout.Name)]));
        return before.Contains(index) ? Refusal.Invalid("duplicate-output", $"The output '{name}' is asked for twice.", name, "Ask for it once.") : null;
    }

    /// <summary>Parameters that would change what an answer is; to pass over them would be to answer something else.</summary>
    public static Refusal? Unserved(string parameter, string output) => parameter is "classification" or "shared_memory_region"
        ? Refusal.Invalid("unsupported-parameter", $"The output '{Short(output)}' asks for '{parameter}', which is not served here.", Short(output), "Leave it out: outputs are answered as tensors in the body.")
        : null;

    /// <summary>What the request's parameter <c>timeout</c> says, which is in microseconds: 0 is none, as in Triton, and nothing here takes an hour.</summary>
    public static TimeSpan? Timeout(ulong microseconds) => microseconds == 0 ? null : TimeSpan.FromMicroseconds(Math.Min(microseconds, 3_600_000_000));

    public static Refusal BadTimeout => Refusal.Invalid("bad-timeout", "The parameter 'timeout' is not a whole number of microseconds.", "parameters.timeout", "Send a whole number from 0 up (0 is no limit), or leave it out.");

    public static Refusal Mismatch(string name, string promised, string got) =>
        Refusal.Invalid("wrong-count", $"The shape of input '{name}' promises {promised}; 'data' has {got}.", name, "Make shape and data agree.");

    public static string Short(string text) => text.Length <= 80 ? text : text[..80] + "…";

    private static bool Deduce(Span<long> shape, int length, int width)
    {
        long others = width;
        foreach (var size in shape)
        {
            if (size < 0) continue;
            if (size == 0 || others > int.MaxValue / size) return false;
            others *= size;
        }
        if (length % others != 0) return false;
        shape[shape.IndexOf(-1)] = length / others;
        return true;
    }
}
