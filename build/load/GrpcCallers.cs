using System.Diagnostics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Platform.Inference.Predict.OpenInference.Wire;

namespace Platform.Load;

/// <summary>gRPC has no load generator as light as wrk, so these figures hold the cost of .NET's own client on the same cores.</summary>
internal static class GrpcCallers
{
    public static async Task<LoadResult> RunAsync(Uri address, string key, string endpoint, Model model, float[][] rows, int callers, TimeSpan time)
    {
        using var channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { HttpHandler = new SocketsHttpHandler { EnableMultipleHttp2Connections = true } });
        var client = new GRPCInferenceService.GRPCInferenceServiceClient(channel);
        var headers = new Metadata { { "authorization", $"Bearer {key}" } };
        ModelInferRequest[] requests = [.. rows.Select(row => Request(endpoint, model, row))];
        await ForAsync(TimeSpan.FromSeconds(2));
        return await ForAsync(time);

        async Task<LoadResult> ForAsync(TimeSpan lasting)
        {
            var until = Stopwatch.GetTimestamp() + (long)(lasting.TotalSeconds * Stopwatch.Frequency);
            var micros = await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(async () =>
            {
                List<double> took = [];
                for (var next = caller * requests.Length / callers; Stopwatch.GetTimestamp() < until; next++)
                {
                    var began = Stopwatch.GetTimestamp();
                    await client.ModelInferAsync(requests[next % requests.Length], headers);
                    took.Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds);
                }

                return took;
            })));
            double[] sorted = [.. micros.SelectMany(m => m).Order()];
            return new(sorted.Length / lasting.TotalSeconds, sorted[sorted.Length / 2], sorted[sorted.Length * 99 / 100], sorted.Length, 0);
        }
    }

    private static ModelInferRequest Request(string endpoint, Model model, float[] row)
    {
        var input = new ModelInferRequest.Types.InferInputTensor { Name = "x", Datatype = "FP32", Shape = { 1 } };
        input.Shape.AddRange(model.Row);
        return new ModelInferRequest { ModelName = endpoint, Inputs = { input }, RawInputContents = { ByteString.CopyFrom(MemoryMarshal.AsBytes(row.AsSpan())) } };
    }
}
