using System.Text;
using Marten;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Intake;
using Platform.Registry.Models;
using Platform.Registry.Onnx;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary>Makes a version of what a client has logged. The version gets the source's files for its own, as they are then, so that nothing that is logged
/// later changes it. Where an ONNX file is among them, it is inspected like an upload, and the platform can serve the version.</summary>
internal sealed class VersionFromArtifacts(Artifacts artifacts, RunStore runs, LoggedModelStore logged, ModelIntake intake, IBlobStore blobs, RegistryLimits limits, IQuerySession session)
{
    /// <summary>The tag in which a client sends a detached signature of the model file.</summary>
    public const string SignatureTag = "platform.signature";

    private const int LargestDescription = 1 << 20, MostWarnings = 20;

    /// <summary>What a version of the source would be; the number is not known yet.</summary>
    public async Task<Result<VersionAdded>> MakeAsync(
        Caller by, string name, string source, string? runId, string? runLink, string? modelId, string? description, IReadOnlyDictionary<string, string> tags, CancellationToken ct)
    {
        var found = await FolderAsync(by.Tenant, source, ct);
        if (found.Refusal is { } refusal) return refusal;
        // A client that registers a logged model leaves out its run, by which the version is looked for.
        if (await LoggedAsync(by.Tenant, source, modelId, ct) is { } made) (modelId, runId) = (made.Id, runId ?? (made.SourceRunId is { Length: > 0 } run ? run : null));
        if (found.Value is not { } folder) return Kept(new(source, runId, runLink, null, "its files are not kept here.", modelId), new([], []));
        var files = await artifacts.TreeAsync(by.Tenant, folder, ct);
        if (files.Count == 0) return Kept(new(source, runId, runLink, null, "there were no files at its source when it was made.", modelId), new([], []));

        var own = $"{Artifacts.VersionsFolder}/{Guid.CreateVersion7():N}";
        await artifacts.CopyAsync(by.Tenant, folder, own, ct);
        var model = await OnnxOfAsync(by.Tenant, folder, files, ct);
        var scanned = await ScanAsync(by.Tenant, folder, files, model.ValueOrDefault, ct);
        if (model.Refusal is { } noOnnx) return Kept(new(source, runId, runLink, own, noOnnx.Detail, modelId), scanned);
        if (scanned.IsQuarantined) return Kept(new(source, runId, runLink, own, null, modelId), scanned);

        var example = files.FirstOrDefault(f => f.Path == $"{folder}/input_example.json") is { Bytes: <= InputExample.LargestBytes } given ? await ReadAsync(by.Tenant, given, ct) : null;
        // Signed is the model file as it was logged; what lies in files beside it, no signature covers.
        var taken = await intake.TakeAsync(by.Tenant, new(
            name, new(model.Value.Sha256, model.Value.Bytes), Relative(model.Value), example, ExampleOrigin.Folder, tags.GetValueOrDefault(SignatureTag),
            [.. files.Where(f => f != model.Value && !Pickle.IsNamed(f.Path)).Select(f => new BlobBeside(Beside(f, model.Value), new(f.Sha256, f.Bytes)))]), ct);
        if (taken.Refusal is { } unsound) return Kept(new(source, runId, runLink, own, null, modelId), scanned with { Quarantine = [new(unsound.Code, unsound.Detail, unsound.Mend)] });
        var report = taken.Value.Report;
        if (report is { Signed: not null, FilesInlined: true })
        {
            report = report with { Signed = null, Quarantine = [.. report.Quarantine, new("signature-incomplete", "The signature covers the model file and not the data files beside it.", "Save the model as one file and sign that.")] };
        }

        return Version(new(source, runId, runLink, own, null, modelId), taken.Value.Artifact.Sha256, taken.Value.Artifact.Length, taken.Value.Model, report with { Warnings = [.. scanned.Warnings, .. report.Warnings] });

        string Relative(StoredArtifact file) => file.Path[(folder.Length + 1)..];

        VersionAdded Kept(MlflowOrigin origin, IntakeReport report) => Version(origin, "", 0,
            new InspectedModel(new ModelSignature([], []), [], null, new OnnxFacts(0, "", new Dictionary<string, long>(), 0, new Dictionary<string, int>()), ArtifactKind.Folder), report);

        VersionAdded Version(MlflowOrigin origin, string sha256, long bytes, InspectedModel what, IntakeReport report) => new(
            0, VersionSource.Mlflow, by.Subject, description, sha256, bytes, what.Signature, what.Columns, what.PredictionOutput, Calibration: null, what.Facts, Metrics: null, Training: null,
            what.Kind, Mlflow: origin, Tags: tags, Intake: report);
    }

    /// <summary>Looks through every file of the folder. A pickle beside the model is named and kept, to be given back, and is never opened here; one that is to be the
    /// model, and an archive that is a trap, quarantine the version.</summary>
    private async Task<IntakeReport> ScanAsync(string tenant, string folder, IReadOnlyList<StoredArtifact> files, StoredArtifact? model, CancellationToken ct)
    {
        List<Finding> quarantine = [], warnings = [];
        foreach (var file in files)
        {
            await using var content = await blobs.OpenAsync(tenant, file.Sha256, ct);
            if (await FileScan.FindAsync(content, file.Path[(folder.Length + 1)..], ct) is not { } found) continue;
            if (found.Code != FileScan.PickleCode || file == model) quarantine.Add(found);
            else if (warnings.Count < MostWarnings) warnings.Add(found with { Mend = null });
        }

        return new(quarantine, warnings);
    }

    /// <summary>A file's path from the folder that the model file is in; one that is outside of it keeps a path that no model can name.</summary>
    private static string Beside(StoredArtifact file, StoredArtifact model)
    {
        var at = model.Path[..(model.Path.LastIndexOf('/') + 1)];
        return file.Path.StartsWith(at, StringComparison.Ordinal) ? file.Path[at.Length..] : "/" + file.Path;
    }

    private async Task<byte[]> ReadAsync(string tenant, StoredArtifact file, CancellationToken ct)
    {
        using var read = new MemoryStream();
        await using var content = await blobs.OpenAsync(tenant, file.Sha256, ct);
        await content.CopyToAsync(read, ct);
        return read.ToArray();
    }

    /// <summary>The folder here that the source names; null when it is elsewhere. What is neither is refused: a path of this machine's, or one that leads up and out.</summary>
    private async Task<Result<string?>> FolderAsync(string tenant, string source, CancellationToken ct)
    {
        if (source.StartsWith("mlflow-artifacts:", StringComparison.Ordinal)) return ArtifactRoutes.FolderOf(source) is { } folder ? folder : Unsound(source);
        if (!Uri.TryCreate(source, UriKind.Absolute, out var uri) || !source.Contains(':') || source[0] == '/' || uri.Scheme is "file") return Unsound(source);
        var path = source[(source.IndexOf(':') + 1)..].TrimStart('/');
        if (!Artifacts.IsSound(path.Split('?', '#')[0].TrimEnd('/').Replace("//", "/"))) return Unsound(source);
        switch (uri.Scheme)
        {
            case "runs":
                if (!Guid.TryParseExact(path.Split('/')[0], "N", out var id) || await runs.FindAsync(tenant, id, ct) is not { } run) return RunStore.Missing(path.Split('/')[0]);
                return ArtifactRoutes.FolderOf($"{run.Info.ArtifactUri}/{path[(path.IndexOf('/') + 1)..]}");
            case "models":
                return await FolderOfModelAsync(tenant, path, ct) is { } other ? other : new Refusal(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"There is no model with files here at '{source}'.", "source");
            default:
                return Result<string?>.Ok(null);
        }
    }

    /// <summary>The logged model that the version is made of, by its source or by its id; null when it is of none.</summary>
    private async Task<LoggedModel?> LoggedAsync(string tenant, string source, string? modelId, CancellationToken ct) =>
        (source.StartsWith("models:/", StringComparison.Ordinal) ? await logged.FindAsync(tenant, source["models:/".Length..].TrimStart('/'), ct) : null)
        ?? (modelId is null ? null : await logged.FindAsync(tenant, modelId, ct));

    /// <summary>The files of another version, by number or alias, or of a logged model.</summary>
    private async Task<string?> FolderOfModelAsync(string tenant, string path, CancellationToken ct)
    {
        if (await logged.FindAsync(tenant, path, ct) is { Deleted: false } model) return ArtifactRoutes.FolderOf(model.ArtifactUri);
        var (name, number) = (path, 0);
        if (path.Split('/') is [var of, var version] && int.TryParse(version, out var n)) (name, number) = (of, n);
        else if (path.Split('@') is [var aliased, var alias]) (name, number) = (aliased, (await session.FindModelAsync(aliased, ct))?.Aliases.GetValueOrDefault(alias) ?? 0);
        return (await session.LoadAsync<ModelVersion>(ModelVersion.Key(name, number), ct))?.Facts.Mlflow?.Folder;
    }

    /// <summary>The ONNX file of the folder: the one its description names, or the only one there is. A refusal says why there is none.</summary>
    private async Task<Result<StoredArtifact>> OnnxOfAsync(string tenant, string folder, IReadOnlyList<StoredArtifact> files, CancellationToken ct)
    {
        var onnx = files.Where(f => f.Path.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase)).ToArray();
        if (files.FirstOrDefault(f => f.Path == $"{folder}/MLmodel") is { Bytes: <= LargestDescription } description)
        {
            using var reader = new StreamReader(await blobs.OpenAsync(tenant, description.Sha256, ct), Encoding.UTF8);
            if (OnnxDataOf(await reader.ReadToEndAsync(ct)) is { } data && files.FirstOrDefault(f => f.Path == $"{folder}/{data}") is { } named) onnx = [named];
        }

        return onnx switch
        {
            [] => Refusal.Invalid("no-onnx", "there is no ONNX file in it, and other formats are kept but not served.", "source"),
            [{ Bytes: var bytes }] when bytes > limits.MaxModelBytes => Refusal.Invalid("too-large", $"its ONNX file is over the limit of {limits.MaxModelBytes:N0} bytes.", "source"),
            [var one] => one,
            _ => Refusal.Invalid("several-onnx", "there are several ONNX files in it, and its MLmodel file names none.", "source"),
        };
    }

    /// <summary>The file that an MLmodel description names under flavors, onnx, data. It is YAML, of which two levels of a mapping are all that is read.</summary>
    internal static string? OnnxDataOf(string description)
    {
        var path = new Stack<(int Indent, string Key)>();
        foreach (var line in description.Split('\n'))
        {
            var text = line.TrimEnd('\r', ' ');
            var indent = text.Length - text.TrimStart(' ').Length;
            if (text.Length == indent || text[indent] is '#' or '-' || text.IndexOf(':', indent) is not (var colon and > 0)) continue;
            while (path.TryPeek(out var outer) && outer.Indent >= indent) path.Pop();
            path.Push((indent, text[indent..colon].Trim('"', '\'')));
            if (path.Select(p => p.Key).SequenceEqual(["data", "onnx", "flavors"]) && text[(colon + 1)..].Trim().Trim('"', '\'') is { Length: > 0 } data) return data;
        }

        return null;
    }

    private static Refusal Unsound(string source) => MlflowCall.Bad(
        $"Invalid model version source: '{source}'. It must be an address of artifacts, such as mlflow-artifacts:/1/run/artifacts/model, without a way up; paths of this or of your machine are no source.");
}
