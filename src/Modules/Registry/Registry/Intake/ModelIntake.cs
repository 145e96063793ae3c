using System.Text.Json;
using Marten;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Signing;

namespace Platform.Registry.Intake;

/// <summary>What is taken in, beside the artifact itself.</summary>
/// <param name="Name">What the file is called, for findings.</param>
/// <param name="Example">The input example, as it was given; null where one is to be made up.</param>
/// <param name="Signature">A detached signature in base64; null where there is none.</param>
/// <param name="IsMadeHere">Whether the platform made the file itself, so that there is nobody who could have signed it.</param>
/// <param name="Beside">Files of the model's own folder that may hold its data.</param>
internal sealed record ToTakeIn(
    string Model, BlobRef Artifact, string Name = "the file", byte[]? Example = null, ExampleOrigin ExampleFrom = ExampleOrigin.Given, string? Signature = null, IReadOnlyList<BlobBeside>? Beside = null, bool IsMadeHere = false);

/// <param name="Artifact">What is served: the file as it came, or with its data files put into it.</param>
internal sealed record TakenIn(InspectedModel Model, BlobRef Artifact, IntakeReport Report);

/// <summary>Every model file goes through here before it is a version: looked through for what must not be there, inspected in a process of its own, held against
/// the tenant's signing keys, and run on an example. What is no sound model is a refusal; what is one, with something wrong about it, is quarantined.</summary>
internal sealed class ModelIntake(OnnxInspections inspections, ExampleTrials trials, IBlobStore blobs, IQuerySession session)
{
    public async Task<Result<TakenIn>> TakeAsync(string tenant, ToTakeIn given, CancellationToken ct)
    {
        await using (var content = await blobs.OpenAsync(tenant, given.Artifact.Sha256, ct))
        {
            if (await FileScan.FindAsync(content, given.Name, ct) is { } hostile) return Refusal.Invalid(hostile.Code, hostile.Detail, "file", hostile.Mend);
        }

        var inspected = await inspections.InspectAsync(tenant, given.Artifact, given.Beside ?? [], ct);
        if (inspected.Refusal is { } unsound) return unsound;
        var (model, artifact) = (inspected.Value.Model, inspected.Value.Artifact);
        IReadOnlyList<ExampleTensor>? example = null;
        if (given.Example is { } json)
        {
            var read = InputExample.Read(json, model.Signature);
            if (read.Refusal is { } unfit && given.ExampleFrom is ExampleOrigin.Given) return unfit;
            example = read.ValueOrDefault;
        }

        List<Finding> quarantine = [], warnings = [];
        var (signed, fault) = given.IsMadeHere ? (null, null) : (await SigningPolicy.LoadAsync(session, ct)).Judge(given.Model, given.Artifact.Sha256, given.Signature);
        if (fault is not null) quarantine.Add(fault);
        if (given.Example is not null && example is null) warnings.Add(new("example-does-not-fit", "The folder's input example does not fit the model, so one was made up.", "Log an example with the model's own inputs."));
        var origin = example is null ? ExampleOrigin.Signature : given.ExampleFrom;
        var tried = await trials.TryAsync(tenant, artifact, model, example, origin, ct);
        if (tried.Finding is { } finding) (tried.IsGrave ? quarantine : warnings).Add(finding);
        return new TakenIn(model, artifact, new(quarantine, warnings, tried.Facts, signed, FilesInlined: artifact.Sha256 != given.Artifact.Sha256));
    }
}

/// <summary>Runs models on their examples in child processes. One that hangs or takes its process with it is ended and quarantined.</summary>
internal sealed class ExampleTrials(IChildProcesses children, IBlobStore blobs, RegistryLimits limits, IntakeTurns turns)
{
    private const int Runs = 7, LargestOutput = 1 << 16;

    internal sealed record Tried(ExampleFacts? Facts, Finding? Finding, bool IsGrave = false);

    /// <param name="example">Null where one is to be made up.</param>
    public async Task<Tried> TryAsync(string tenant, BlobRef artifact, InspectedModel model, IReadOnlyList<ExampleTensor>? example, ExampleOrigin origin, CancellationToken ct)
    {
        if ((example ?? InputExample.MadeUp(model.Signature)) is not { } inputs) return new(null, new("example-too-large", "An example with the model's fixed dimensions would be too large to make up.", "Send an input example with the upload."));
        using var turn = await turns.TakeAsync(tenant, ct);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(limits.ExamplePatience);
        try
        {
            var run = await children.RunAsync(ExampleTrial.Work, WriteAsync, new Progress<ChildProgress>(), limit.Token, owner: tenant);
            if (run.Refusal is not null) return new(null, new("example-crashed", "The process that ran the model on its example died, of lack of memory or a fault of the model's.", "Run the model once on the example where you made it."), IsGrave: true);
            var result = await ReadAsync(run.Value, ct);
            if (result.Failure is { } failure)
            {
                // Made-up zeros may be outside what the model was made for; what its owner gives as an example is what it is made for.
                var why = OnnxInspector.Shown(failure.Length > 300 ? failure[..300] : failure);
                return new(Facts(result, null), origin is ExampleOrigin.Signature
                    ? new("example-failed", $"The model does not run on zeros of its declared shapes: {why}", "Send an input example with the upload, to see it run.")
                    : new("example-failed", $"The model does not run on its input example: {why}", "Send an example that the model can run on, or mend the model."), IsGrave: origin is not ExampleOrigin.Signature);
            }

            var kept = JsonSerializer.SerializeToUtf8Bytes(new KeptExample(origin, inputs, result.Outputs), JsonSerializerOptions.Web);
            if (kept.Length > 4 * InputExample.LargestBytes) return new(Facts(result, null), null);
            using var content = new MemoryStream(kept, writable: false);
            return new(Facts(result, (await blobs.PutAsync(tenant, content, kept.Length, ct)).ValueOrDefault?.Sha256), null);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return new(null, new("example-timed-out", $"The model did not finish its input example within {limits.ExamplePatience.TotalSeconds:N0} seconds and was ended.", "Make the model quicker, or its example smaller."), IsGrave: true);
        }

        ExampleFacts Facts(ExampleResult result, string? sha256) => new(origin, result.MedianMs, result.Runs, result.LoadMs, result.MemoryBytes, artifact.Length, sha256);

        async Task WriteAsync(Stream input, CancellationToken token)
        {
            await ChildFrames.WriteHeaderAsync(input, new ExampleTask(model.Kind, model.Signature, inputs, Runs, LargestOutput), token);
            await using var file = await blobs.OpenAsync(tenant, artifact.Sha256, token);
            await file.CopyToAsync(input, token);
        }
    }

    private static async Task<ExampleResult> ReadAsync(byte[] result, CancellationToken ct)
    {
        using var stream = new MemoryStream(result, writable: false);
        return await ChildFrames.ReadHeaderAsync<ExampleResult>(stream, ct);
    }
}

/// <summary>The example and what the model gave for it, as the blob holds them.</summary>
/// <param name="Outputs">Empty where they were too large.</param>
internal sealed record KeptExample(ExampleOrigin Origin, IReadOnlyList<ExampleTensor> Inputs, IReadOnlyList<ExampleTensor> Outputs);
