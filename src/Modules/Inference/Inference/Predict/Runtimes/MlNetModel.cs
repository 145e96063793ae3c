using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>ML.NET: saved transformers, row by row.</summary>
internal sealed class MlNetEngine : IModelRuntime
{
    public ArtifactKind Kind => ArtifactKind.MlNet;

    public string Placement => "CPU";

    public Task<ILoadedModel> LoadAsync(byte[] artifact) => Task.Run<ILoadedModel>(() => MlNetModel.Open(artifact));
}

/// <summary>One saved transformer. The chain of delegates that computes the outputs is built once a tensor set and then follows the set's rows,
/// because building it takes a hundred times as long as a row.</summary>
internal sealed class MlNetModel : ILoadedModel
{
    /// <summary>What trainers call their answers; when a model has none of these, everything it adds to its inputs is an output.</summary>
    private static readonly string[] Answers = ["PredictedLabel", "Score", "Probability"];

    private readonly IRowToRowMapper mapper;
    private readonly DataViewSchema.Column[] outputs;

    private MlNetModel(ITransformer transformer, DataViewSchema schema)
    {
        if (!transformer.IsRowToRowMapper) throw new ModelLoadException("it is no mapping from rows to rows");
        mapper = transformer.GetRowToRowMapper(schema);
        DataViewSchema.Column[] added = [.. mapper.OutputSchema.Where(column => !column.IsHidden && schema.GetColumnOrNull(column.Name) is null && Spec(column) is not null)];
        outputs = [.. mapper.OutputSchema.Where(column => !column.IsHidden && Answers.Contains(column.Name) && Spec(column) is not null)];
        if (outputs.Length == 0) outputs = added;
        if (outputs.Length == 0) throw new ModelLoadException("it has no output of a type that can be served");
        // The label, for one, is in the schema and is not needed.
        Signature = new ModelSignature(
            [.. mapper.GetDependencies(outputs).Select(column => Spec(column) ?? throw new ModelLoadException($"its input '{column.Name}' is of the type {column.Type}, which cannot be served"))],
            [.. outputs.Select(column => Spec(column)!)]);
        Steps = transformer is IEnumerable<ITransformer> chain ? [.. chain.Select(step => step.GetType().Name.Split('`')[0])] : [transformer.GetType().Name.Split('`')[0]];
    }

    public ModelSignature Signature { get; }

    public IReadOnlyList<string> Steps { get; }

    /// <summary>The answer of a class or of a number, when it is clear which output that is.</summary>
    public string? PredictionOutput =>
        Signature.Outputs is [var only] ? only.Name : Signature.Outputs.FirstOrDefault(output => output.Name == Answers[0])?.Name ?? Signature.Outputs.FirstOrDefault(output => output.Name == Answers[1])?.Name;

    /// <summary>Throws <see cref="ModelLoadException"/> with a sentence for the model's owner.</summary>
    public static MlNetModel Open(byte[] archive)
    {
        ZipLimits.Check(archive);
        try
        {
            using var stream = new MemoryStream(archive, writable: false);
            return new MlNetModel(new MLContext().Model.Load(stream, out var schema), schema ?? throw new ModelLoadException("it was saved without its input schema"));
        }
        catch (Exception failure) when (failure is not (ModelLoadException or OutOfMemoryException))
        {
            // ML.NET throws whatever its parts throw.
            throw new ModelLoadException("ML.NET cannot load the archive", failure);
        }
    }

    public void WarmUp(RunSeat seat)
    {
        using var set = new TensorSet([.. Signature.Inputs.Select(TensorLayout.Of)], [.. Signature.Outputs.Select(TensorLayout.Of)]);
        foreach (var input in set.Inputs)
        {
            input.SetShape([1, .. input.Layout.Shape.AsSpan(1)]);
            input.Resize((int)input.Layout.Shape.Skip(1).Aggregate(1L, (product, size) => product * size));
            if (!input.IsText) input.Raw.Clear();
        }
        try
        {
            Run(set, [.. Enumerable.Range(0, outputs.Length)], seat);
        }
        catch (ModelRunException failure) when (failure.Failure is RunFailure.Failed)
        {
            // Zeros may be outside what the model was made for.
        }
    }

    public void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat)
    {
        var kept = set.Kept as KeptRow;
        if (kept is null || kept.Model != this) set.Kept = kept = new KeptRow(this, set);
        var rows = set.Inputs.Length == 0 ? 1 : set.Inputs[0].Shape[0];
        if (Array.Exists(set.Inputs, input => input.Shape[0] != rows)) throw new ModelRunException(RunFailure.Failed, "The inputs have different numbers of rows.");
        seat.Begin(kept);
        try
        {
            kept.Compute((int)rows, wanted);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            throw new ModelRunException(seat.End() ?? RunFailure.Failed, failure.Message, failure);
        }
        finally
        {
            seat.End();
        }
    }

    public void Dispose()
    {
    }

    private static TensorSpec? Spec(DataViewSchema.Column column)
    {
        var vector = column.Type as VectorDataViewType;
        if (vector is { Size: 0 }) return null;
        return DatatypeOf(vector?.ItemType ?? column.Type) is { } type ? new TensorSpec(column.Name, type.Name(), [-1, vector?.Size ?? 1]) : null;
    }

    private static Datatype? DatatypeOf(DataViewType type) => type switch
    {
        TextDataViewType => Datatype.Bytes,
        BooleanDataViewType => Datatype.Bool,
        KeyDataViewType => type.RawType == typeof(uint) ? Datatype.UInt32 : null,
        NumberDataViewType => Type.GetTypeCode(type.RawType) switch
        {
            TypeCode.Single => Datatype.FP32,
            TypeCode.Double => Datatype.FP64,
            TypeCode.SByte => Datatype.Int8,
            TypeCode.Int16 => Datatype.Int16,
            TypeCode.Int32 => Datatype.Int32,
            TypeCode.Int64 => Datatype.Int64,
            TypeCode.Byte => Datatype.UInt8,
            TypeCode.UInt16 => Datatype.UInt16,
            TypeCode.UInt32 => Datatype.UInt32,
            TypeCode.UInt64 => Datatype.UInt64,
            _ => null,
        },
        _ => null,
    };

    /// <summary>One set's chain of delegates, from the row it stands on to the outputs.</summary>
    private sealed class KeptRow : IDisposable, IStoppable
    {
        private readonly TensorSet set;
        private readonly InputRow row;
        private readonly DataViewRow computed;
        private readonly Action<int, int>[] readers;
        private volatile bool stopped;

        public KeptRow(MlNetModel model, TensorSet set)
        {
            (Model, this.set) = (model, set);
            row = new InputRow(model.mapper.InputSchema, set);
            computed = model.mapper.GetRow(row, model.outputs);
            readers = [.. set.Outputs.Select(output => Reader(output, computed.Schema[output.Layout.Name]))];
        }

        public MlNetModel Model { get; }

        public void Compute(int rows, ReadOnlySpan<int> wanted)
        {
            stopped = false;
            foreach (var index in wanted)
            {
                var output = set.Outputs[index];
                var each = output.Layout.Shape[1];
                output.Clear();
                output.SetShape(rows, each);
                output.Resize(checked((int)(rows * each)));
            }
            for (var i = 0; i < rows; i++)
            {
                if (stopped) throw new OperationCanceledException();
                row.MoveTo(i);
                foreach (var index in wanted) readers[index](i, (int)set.Outputs[index].Layout.Shape[1]);
            }
        }

        public void Stop() => stopped = true;

        public void Dispose() => computed.Dispose();

        private Action<int, int> Reader(Tensor output, DataViewSchema.Column column) => output.Layout.Datatype switch
        {
            Datatype.FP32 => Numbers<float>(output, column),
            Datatype.FP64 => Numbers<double>(output, column),
            Datatype.Int8 => Numbers<sbyte>(output, column),
            Datatype.Int16 => Numbers<short>(output, column),
            Datatype.Int32 => Numbers<int>(output, column),
            Datatype.Int64 => Numbers<long>(output, column),
            Datatype.UInt8 => Numbers<byte>(output, column),
            Datatype.UInt16 => Numbers<ushort>(output, column),
            Datatype.UInt32 => Numbers<uint>(output, column),
            Datatype.UInt64 => Numbers<ulong>(output, column),
            Datatype.Bool => Values<bool>(column, (at, value) => output.Set(at, (byte)(value ? 1 : 0))),
            _ => Values<ReadOnlyMemory<char>>(column, (at, value) => output.SetText(at, Encoding.UTF8.GetBytes(value.ToString()))),
        };

        private Action<int, int> Numbers<T>(Tensor output, DataViewSchema.Column column) where T : unmanaged => Values<T>(column, (at, value) => output.Set(at, value));

        private Action<int, int> Values<T>(DataViewSchema.Column column, Action<int, T> store)
        {
            if (column.Type is VectorDataViewType)
            {
                var vector = computed.GetGetter<VBuffer<T>>(column);
                var buffer = default(VBuffer<T>);
                return (i, each) =>
                {
                    vector(ref buffer);
                    var at = 0;
                    foreach (var value in buffer.DenseValues()) store((i * each) + at++, value);
                };
            }
            var scalar = computed.GetGetter<T>(column);
            var one = default(T)!;
            return (i, _) =>
            {
                scalar(ref one);
                store(i, one);
            };
        }
    }

    /// <summary>The row of the set's inputs that is being computed. Columns that are not among the inputs have their type's default.</summary>
    private sealed class InputRow(DataViewSchema schema, TensorSet set) : DataViewRow
    {
        private int index;
        private long position;

        public override DataViewSchema Schema => schema;

        /// <summary>Never the same twice: transformers remember what they computed for a position.</summary>
        public override long Position => position;

        public override long Batch => 0;

        public void MoveTo(int row)
        {
            index = row;
            position++;
        }

        public override bool IsColumnActive(DataViewSchema.Column column) => true;

        public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)position, 0);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            if (Array.Find(set.Inputs, input => input.Layout.Name == column.Name) is not { } tensor) return (ref TValue value) => value = default!;
            var each = column.Type is VectorDataViewType vector ? vector.Size : 0;
            Delegate getter = tensor.Layout.Datatype switch
            {
                Datatype.FP32 => Numbers<float>(tensor, each),
                Datatype.FP64 => Numbers<double>(tensor, each),
                Datatype.Int8 => Numbers<sbyte>(tensor, each),
                Datatype.Int16 => Numbers<short>(tensor, each),
                Datatype.Int32 => Numbers<int>(tensor, each),
                Datatype.Int64 => Numbers<long>(tensor, each),
                Datatype.UInt8 => Numbers<byte>(tensor, each),
                Datatype.UInt16 => Numbers<ushort>(tensor, each),
                Datatype.UInt32 => Numbers<uint>(tensor, each),
                Datatype.UInt64 => Numbers<ulong>(tensor, each),
                Datatype.Bool => Values(each, at => tensor.Values<byte>()[at] != 0),
                _ => Values(each, at => Encoding.UTF8.GetString(tensor.Text(at)).AsMemory()),
            };
            return (ValueGetter<TValue>)getter;
        }

        private Delegate Numbers<T>(Tensor tensor, int each) where T : unmanaged => Values(each, at => tensor.Values<T>()[at]);

        private Delegate Values<T>(int each, Func<int, T> read)
        {
            if (each == 0) return new ValueGetter<T>((ref T value) => value = read(index));
            return new ValueGetter<VBuffer<T>>((ref VBuffer<T> value) =>
            {
                var editor = VBufferEditor.Create(ref value, each);
                for (var i = 0; i < each; i++) editor.Values[i] = read((index * each) + i);
                value = editor.Commit();
            });
        }
    }
}
