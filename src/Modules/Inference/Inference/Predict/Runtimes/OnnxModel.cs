using System.Collections.Frozen;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>One ONNX Runtime session. Inputs and, where their shape is known beforehand, outputs are read and written in place,
/// with the native handles kept from request to request, so that a call of a usual shape allocates next to nothing.</summary>
internal sealed class OnnxModel : ILoadedModel
{
    private readonly InferenceSession session;

    /// <summary>Outputs that may be written in place, because the first runs have shown that their shape is the declared one and that a free batch follows the input's.</summary>
    private FrozenSet<string> inPlace = FrozenSet<string>.Empty;

    public OnnxModel(InferenceSession session)
    {
        this.session = session;
        // Outputs that are no tensors (sequences, maps) are left out: ONNX Runtime computes only what is asked for.
        Signature = new ModelSignature(
            [.. session.InputNames.Select(name => Spec(name, session.InputMetadata[name]) ?? throw new ModelLoadException($"the input '{name}' is not a tensor of a type that can be served"))],
            [.. session.OutputNames.Select(name => Spec(name, session.OutputMetadata[name])).OfType<TensorSpec>()]);
    }

    public ModelSignature Signature { get; }

    public void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat)
    {
        var kept = set.Kept as KeptRun;
        if (kept is null) set.Kept = kept = new KeptRun(set);
        if (!kept.Wanted.AsSpan().SequenceEqual(wanted)) kept.Want(wanted, set);
        for (var i = 0; i < set.Inputs.Length; i++) kept.Inputs[i] = Bind(set.Inputs[i]);

        if (AllInPlace(kept.OutputNames))
        {
            try
            {
                RunInPlace(set, kept, seat);
                return;
            }
            catch (ModelRunException failure) when (failure.Failure is RunFailure.Failed)
            {
                // Perhaps an output's shape depends on the values after all. If it runs when the runtime makes the outputs, that was it.
                RunAndCopy(set, kept, seat);
                inPlace = FrozenSet<string>.Empty;
                return;
            }
        }
        RunAndCopy(set, kept, seat);
    }

    /// <summary>Zeros and empty texts, once with one row and once with two: that also shows which outputs can be written in place.</summary>
    public void WarmUp(RunSeat seat)
    {
        TensorLayout[] inputs = [.. Signature.Inputs.Select(TensorLayout.Of)], outputs = [.. Signature.Outputs.Select(TensorLayout.Of)];
        int[] all = [.. Enumerable.Range(0, outputs.Length)];
        var hasBatch = inputs.Any(input => input.HasFreeBatch);
        var asDeclared = outputs.Where(output => output.Datatype is not Datatype.Bytes).Select(output => output.Name).ToHashSet();
        try
        {
            foreach (var rows in hasBatch ? new[] { 1, 2 } : [1])
            {
                using var set = new TensorSet(inputs, outputs);
                foreach (var input in set.Inputs) Zero(input, rows);
                Run(set, all, seat);
                foreach (var output in set.Outputs)
                {
                    var declared = output.Layout.HasFreeBatch && hasBatch ? [rows, .. output.Layout.Shape.AsSpan(1)] : output.Layout.Shape;
                    if (!declared.AsSpan().SequenceEqual(output.Shape)) asDeclared.Remove(output.Layout.Name);
                }
            }
            inPlace = asDeclared.ToFrozenSet();
        }
        catch (ModelRunException failure) when (failure.Failure is RunFailure.Failed or RunFailure.OutOfMemory)
        {
            // Zeros may be outside what the model was made for (an index, a word it must know): it may still serve real rows.
        }
    }

    public void Dispose() => session.Dispose();

    private bool AllInPlace(string[] names)
    {
        foreach (var name in names)
        {
            if (!inPlace.Contains(name)) return false;
        }
        return true;
    }

    private void RunInPlace(TensorSet set, KeptRun kept, RunSeat seat)
    {
        var rows = kept.BatchInput < 0 ? 0 : set.Inputs[kept.BatchInput].Shape[0];
        for (var i = 0; i < kept.Wanted.Length; i++)
        {
            var output = set.Outputs[kept.Wanted[i]];
            Place(output, rows);
            kept.Outputs[i] = Bind(output);
        }
        seat.Begin(kept);
        try
        {
            session.Run(kept.Options, kept.InputNames, kept.Inputs, kept.OutputNames, kept.Outputs);
        }
        catch (OnnxRuntimeException failure)
        {
            throw Failure(seat, failure);
        }
        finally
        {
            kept.Ended(seat);
        }
    }

    private void RunAndCopy(TensorSet set, KeptRun kept, RunSeat seat)
    {
        seat.Begin(kept);
        try
        {
            using var values = session.Run(kept.Options, kept.InputNames, kept.Inputs, kept.OutputNames);
            RunLimits.Check(values.Sum(value => value.GetTensorTypeAndShape() is var info ? info.ElementCount * Math.Max(1, DatatypeOf(info.ElementDataType)?.Size() ?? 1) : 0));
            for (var i = 0; i < values.Count; i++) Copy(values[i], set.Outputs[kept.Wanted[i]]);
        }
        catch (OnnxRuntimeException failure)
        {
            throw Failure(seat, failure);
        }
        catch (OverflowException failure)
        {
            throw new ModelRunException(RunFailure.Failed, "The answer is too large to hold.", failure);
        }
        finally
        {
            kept.Ended(seat);
        }
    }

    private static ModelRunException Failure(RunSeat seat, OnnxRuntimeException failure) => new(seat.End() ?? (NativeMemory.IsShortage(failure.Message) ? RunFailure.OutOfMemory : RunFailure.Failed), failure.Message, failure);

    private static void Zero(Tensor input, int rows)
    {
        Span<long> shape = stackalloc long[input.Layout.Shape.Length];
        long count = 1;
        for (var i = 0; i < shape.Length; i++)
        {
            shape[i] = input.Layout.Shape[i] is >= 0 and var size ? size : i == 0 ? rows : 1;
            count *= shape[i];
        }
        input.SetShape(shape);
        input.Resize(checked((int)count));
        if (!input.IsText) input.Raw.Clear();
    }

    private static void Place(Tensor output, long rows)
    {
        Span<long> shape = stackalloc long[output.Layout.Shape.Length];
        output.Layout.Shape.CopyTo(shape);
        if (output.Layout.HasFreeBatch) shape[0] = rows;
        // In floating point, which does not overflow, because a file may declare any shape.
        var count = 1.0;
        foreach (var size in shape) count *= size;
        RunLimits.Check(count * output.Layout.Datatype.Size());
        output.SetShape(shape);
        output.Resize((int)count);
    }

    private static void Copy(OrtValue value, Tensor output)
    {
        var info = value.GetTensorTypeAndShape();
        output.Clear();
        output.SetShape(info.Shape);
        output.Resize(checked((int)info.ElementCount));
        if (output.IsText)
        {
            for (var i = 0; i < output.Count; i++) output.SetText(i, value.GetStringElementAsSpan(i));
        }
        else if (output.Count > 0)
        {
            value.GetTensorMutableRawData().CopyTo(output.Raw);
        }
    }

    private static OrtValue Bind(Tensor tensor)
    {
        var kept = tensor.Kept as KeptValue;
        if (kept is null) tensor.Kept = kept = new KeptValue();
        return kept.For(tensor);
    }

    private static TensorSpec? Spec(string name, NodeMetadata node) =>
        node.IsTensor && DatatypeOf(node.ElementDataType) is { } type
            ? new TensorSpec(name, type.Name(), [.. node.Dimensions.Select(size => (long)size)])
            : null;

    private static Datatype? DatatypeOf(TensorElementType type) => type switch
    {
        TensorElementType.Bool => Datatype.Bool,
        TensorElementType.UInt8 => Datatype.UInt8,
        TensorElementType.UInt16 => Datatype.UInt16,
        TensorElementType.UInt32 => Datatype.UInt32,
        TensorElementType.UInt64 => Datatype.UInt64,
        TensorElementType.Int8 => Datatype.Int8,
        TensorElementType.Int16 => Datatype.Int16,
        TensorElementType.Int32 => Datatype.Int32,
        TensorElementType.Int64 => Datatype.Int64,
        TensorElementType.Float16 => Datatype.FP16,
        TensorElementType.BFloat16 => Datatype.BF16,
        TensorElementType.Float => Datatype.FP32,
        TensorElementType.Double => Datatype.FP64,
        TensorElementType.String => Datatype.Bytes,
        _ => null,
    };

    private static TensorElementType ElementOf(Datatype type) => type switch
    {
        Datatype.Bool => TensorElementType.Bool,
        Datatype.UInt8 => TensorElementType.UInt8,
        Datatype.UInt16 => TensorElementType.UInt16,
        Datatype.UInt32 => TensorElementType.UInt32,
        Datatype.UInt64 => TensorElementType.UInt64,
        Datatype.Int8 => TensorElementType.Int8,
        Datatype.Int16 => TensorElementType.Int16,
        Datatype.Int32 => TensorElementType.Int32,
        Datatype.Int64 => TensorElementType.Int64,
        Datatype.FP16 => TensorElementType.Float16,
        Datatype.BF16 => TensorElementType.BFloat16,
        Datatype.FP32 => TensorElementType.Float,
        Datatype.FP64 => TensorElementType.Double,
        _ => TensorElementType.String,
    };

    /// <summary>The native handle on a tensor's memory, good as long as neither the memory nor the shape changes.</summary>
    private sealed class KeptValue : IDisposable
    {
        private OrtValue? value;
        private nint address;
        private long[] shape = [];

        public OrtValue For(Tensor tensor)
        {
            if (value is null || (!tensor.IsText && address != tensor.Address) || !shape.AsSpan().SequenceEqual(tensor.Shape))
            {
                value?.Dispose();
                shape = [.. tensor.Shape];
                if (tensor.IsText)
                {
                    value = OrtValue.CreateTensorWithEmptyStrings(OrtAllocator.DefaultInstance, shape);
                }
                else
                {
                    address = tensor.Address;
                    value = OrtValue.CreateTensorValueWithData(
                        OrtMemoryInfo.DefaultInstance, ElementOf(tensor.Layout.Datatype), shape, address, (long)tensor.Count * tensor.Layout.Datatype.Size());
                }
            }
            if (tensor.IsText)
            {
                for (var i = 0; i < tensor.Count; i++) value.StringTensorSetElementAt(tensor.Text(i), i);
            }
            return value;
        }

        public void Dispose() => value?.Dispose();
    }

    /// <summary>What one set's runs need beside the values. Tensors are told by name, so the order in the plan need not be the file's.</summary>
    private sealed class KeptRun(TensorSet set) : IDisposable, IStoppable
    {
        public RunOptions Options { get; private set; } = Fresh();

        public string[] InputNames { get; } = [.. set.Inputs.Select(input => input.Layout.Name)];

        public OrtValue[] Inputs { get; } = new OrtValue[set.Inputs.Length];

        /// <summary>The input whose first dimension is the batch; -1 when there is none.</summary>
        public int BatchInput { get; } = Array.FindIndex(set.Inputs, input => input.Layout.HasFreeBatch);

        public int[] Wanted { get; private set; } = [];

        public OrtValue[] Outputs { get; private set; } = [];

        public string[] OutputNames { get; private set; } = [];

        public void Want(ReadOnlySpan<int> wanted, TensorSet set)
        {
            Wanted = wanted.ToArray();
            Outputs = new OrtValue[wanted.Length];
            OutputNames = [.. Wanted.Select(index => set.Outputs[index].Layout.Name)];
        }

        /// <summary>Options that were told to stop, even if the run finished first, would stop the next run too.</summary>
        public void Ended(RunSeat seat)
        {
            if (seat.End() is null) return;
            Options.Dispose();
            Options = Fresh();
        }

        public void Stop() => Options.Terminate = true;

        public void Dispose() => Options.Dispose();

        private static RunOptions Fresh() => new() { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
    }
}
