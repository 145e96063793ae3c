using System.Net.Mime;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.Datasets.Csv;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Datasets;

/// <summary>Makes a dataset of a CSV, or a new version of the dataset that has the name. Bad rows are set aside and told; a file that is refused leaves nothing behind.</summary>
internal static class UploadDataset
{
    /// <param name="Content">Read once, to its end.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name, Stream Content) : IRequest<Result<DatasetView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(c => c.Name).IsName();
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("datasets", PostAsync).WithName(nameof(UploadDataset)).Needs(Permissions.Write).WithSummary("Upload a CSV as a dataset")
            .WithDescription("The body is the CSV itself, or a multipart form with one file. UTF-8, or UTF-16 with a byte order mark; comma, semicolon, tab or bar; the first line names the columns.")
            // Any other kind is let through to be refused with a mend; routing's own 415 has none.
            .Accepts<Stream>(MediaTypeNames.Text.Csv, MediaTypeNames.Multipart.FormData, "*/*")
            .ProducesProblem(StatusCodes.Status413PayloadTooLarge).ProducesProblem(StatusCodes.Status415UnsupportedMediaType);

    private static async Task<Results<Created<DatasetView>, ProblemHttpResult>> PostAsync(
        string name, HttpRequest request, IMediator mediator, DatasetLimits limits, CancellationToken ct)
    {
        var content = await CsvUpload.OpenAsync(request, limits.MaxBytes, ct);
        if (content.Refusal is { } unreadable) return unreadable.ToProblem();
        return await mediator.Send(new Command(name, content.Value), ct).ToCreated(dataset => $"/api/v1/features/datasets/{dataset.Name}");
    }

    internal static DatasetUploaded Decide(Dataset? before, DatasetContent read, string originalSha256, long originalBytes, string? quarantineSha256) => new(
        (before?.LastNumber ?? 0) + 1, read.ContentSha256, originalSha256, quarantineSha256, read.CanonicalBytes, originalBytes, read.Rows, read.Quarantined,
        read.Encoding, read.Delimiter, [.. read.Columns.Select(c => new SchemaColumn(c.Name, c.Type))]);

    internal sealed class Handler(IDocumentSession session, DatasetFiles files, ReadingSlots slots, DatasetLimits limits)
        : IRequestHandler<Command, Result<DatasetView>>
    {
        public async Task<Result<DatasetView>> Handle(Command command, CancellationToken ct)
        {
            await using var original = Draft.Create();
            await using var canonical = Draft.Create();
            await using var quarantine = Draft.Create();
            if (await CsvUpload.ReceiveAsync(command.Content, original, limits.MaxBytes, ct) is { } tooLarge) return tooLarge;

            var read = await slots.RunAsync(() => DatasetReader.Read(original, canonical, quarantine, limits, ct), ct);
            if (read.Refusal is { } refusal) return refusal;

            return await SaveAsync(command.Name, read.Value, original, canonical, quarantine, ct);
        }

        private async Task<Result<DatasetView>> SaveAsync(
            string name, DatasetContent read, FileStream original, FileStream canonical, FileStream quarantine, CancellationToken ct)
        {
            List<string> put = [];
            foreach (var draft in read.Quarantined > 0 ? [canonical, original, quarantine] : (FileStream[])[canonical, original])
            {
                var stored = await files.PutAsync(draft, ct);
                if (stored.Refusal is { } refusal) return refusal;
                put.Add(stored.Value.Sha256);
            }

            // The stream is locked while the next number is taken, so that two uploads at once become two versions and neither is lost.
            var stream = await session.Events.FetchForExclusiveWriting<Dataset>(Dataset.Key(name), ct);
            var uploaded = Decide(stream.Aggregate, read, put[1], original.Length, put.ElementAtOrDefault(2));
            var profile = new DatasetProfile(DatasetProfile.Key(name, uploaded.Number), name, read.Columns, read.FirstFaults);
            stream.AppendOne(uploaded);
            session.Store(profile);
            await session.SaveChangesAsync(ct);

            var dataset = (await session.LoadAsync<Dataset>(Dataset.Key(name), ct))!;
            return DatasetView.Of(dataset, dataset.Versions.First(v => v.Number == uploaded.Number), profile);
        }
    }
}
