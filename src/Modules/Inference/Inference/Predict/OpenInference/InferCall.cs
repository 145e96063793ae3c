using System.Buffers;
using Google.Protobuf;
using Grpc.Core;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>A ModelInferRequest as it came, in memory that is used again.</summary>
internal sealed class InferCall : IDisposable
{
    private readonly byte[] buffer;
    private readonly int length;

    private InferCall(ReadOnlySequence<byte> payload)
    {
        length = (int)payload.Length;
        buffer = ArrayPool<byte>.Shared.Rent(length);
        payload.CopyTo(buffer);
    }

    public ReadOnlySpan<byte> Message => buffer.AsSpan(0, length);

    public static InferCall Read(DeserializationContext context) => new(context.PayloadAsReadOnlySequence());

    public void Dispose() => ArrayPool<byte>.Shared.Return(buffer);
}

/// <summary>A ModelInferResponse that is written from the tensors themselves, always raw: public clients read nothing else. Disposed when it has been sent.</summary>
internal sealed class InferAnswer(PredictionWork work) : IDisposable
{
    private static readonly byte RawTag = (byte)WireFormat.MakeTag(ModelInferResponse.RawOutputContentsFieldNumber, WireFormat.WireType.LengthDelimited);

    public static void Write(InferAnswer answer, SerializationContext context)
    {
        // A message's parts may follow one another as if it were written in one, so the tensors come behind the rest.
        var head = answer.Head();
        var outputs = answer.Outputs;
        context.SetPayloadLength(outputs.Aggregate(head.CalculateSize(), (length, output) => checked(length + 1 + CodedOutputStream.ComputeLengthSize(TensorBytes.Length(output)) + TensorBytes.Length(output))));
        var writer = context.GetBufferWriter();
        head.WriteTo(writer);
        foreach (var output in outputs)
        {
            var room = writer.GetSpan(6);
            room[0] = RawTag;
            var used = 1;
            var length = (uint)TensorBytes.Length(output);
            for (; length > 127; length >>= 7) room[used++] = (byte)(length | 128);
            room[used++] = (byte)length;
            writer.Advance(used);
            TensorBytes.Write(writer, output);
        }
        context.Complete();
    }

    public void Dispose() => Predictor.End(work);

    private IEnumerable<Tensor> Outputs => work.Wanted.Select(index => work.Tensors.Outputs[index]);

    private ModelInferResponse Head()
    {
        var head = new ModelInferResponse { ModelName = work.Plan.Terms.Endpoint, ModelVersion = work.Plan.Version.Version.ToString(), Id = work.RequestId ?? "" };
        head.Parameters["prediction_id"] = new InferParameter { StringParam = work.Id.ToString() };
        foreach (var output in Outputs)
        {
            var described = new ModelInferResponse.Types.InferOutputTensor { Name = output.Layout.Name, Datatype = output.Layout.Datatype.Name() };
            described.Shape.AddRange(output.Shape);
            head.Outputs.Add(described);
        }
        return head;
    }
}
