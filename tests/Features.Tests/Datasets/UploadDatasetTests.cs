using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Platform.Testing;

namespace Features.Tests.Datasets;

public sealed class UploadDatasetTests
{
    [Fact]
    public async Task An_uploaded_csv_shows_its_schema_statistics_hash_and_rows()
    {
        var tenant = await TestTenant.NewAsync();

        var uploaded = await tenant.HasDatasetAsync("sales");

        (uploaded.Text("name"), uploaded.Number("version"), uploaded.Number("rows"), uploaded.Number("quarantined")).ShouldBe(("sales", 1, 3, 0));
        uploaded.Text("contentSha256").Length.ShouldBe(64);
        var dataset = await tenant.Viewer.GetJsonAsync("api/v1/features/datasets/sales");
        dataset.GetProperty("columns").EnumerateArray().Select(c => $"{c.Text("name")} {c.Text("type")}")
            .ShouldBe(["id text", "sold_on date", "area number", "garden boolean", "price integer"]);
        var area = dataset.GetProperty("columns")[2];
        (area.Number("missing"), area.Number("distinct"), area.Text("min"), area.Text("max"), area.GetProperty("mean").GetDouble()).ShouldBe((1, 2, "80", "120.5", 100.25));

        var preview = await tenant.Viewer.GetJsonAsync("api/v1/features/datasets/sales/rows?limit=2");
        preview.GetProperty("rows").GetRawText().ShouldBe("""[["H1","2024-01-05",80,true,100000],["H2","2024-02-01",120.5,false,200000]]""");
        (await tenant.Viewer.GetJsonAsync("api/v1/features/datasets"))[0].Text("name").ShouldBe("sales");
    }

    [Fact]
    public async Task A_form_with_a_file_is_taken_like_a_body()
    {
        var tenant = await TestTenant.NewAsync();
        var body = await tenant.HasDatasetAsync("body");

        using var form = new MultipartFormDataContent { { new StringContent("said before the file"), "note" }, { new StringContent(CsvCalls.Sales), "file", "sales.csv" } };
        var uploaded = await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=form", form)).ShouldBeAsync(201);

        uploaded.Text("contentSha256").ShouldBe(body.Text("contentSha256"));
    }

    [Fact]
    public async Task The_same_rows_have_the_same_hash_however_the_file_is_written()
    {
        var tenant = await TestTenant.NewAsync();
        var plain = await tenant.HasDatasetAsync("plain");
        var excel = CsvCalls.Sales.Replace(",", ";").Replace("\n", "\r\n");

        var other = await (await tenant.Developer.UploadAsync("excel", [.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes(excel)])).ShouldBeAsync(201);

        (other.Text("encoding"), other.Text("delimiter")).ShouldBe(("utf-16", ";"));
        other.Text("contentSha256").ShouldBe(plain.Text("contentSha256"));
    }

    [Fact]
    public async Task Uploading_a_name_again_adds_a_version_and_keeps_the_old_one()
    {
        var tenant = await TestTenant.NewAsync();
        var first = await tenant.HasDatasetAsync("sales");

        var second = await tenant.HasDatasetAsync("sales", CsvCalls.Sales + "H4,2024-04-01,90,true,120000\n");

        second.Number("version").ShouldBe(2);
        second.Text("contentSha256").ShouldNotBe(first.Text("contentSha256"));
        var versions = (await tenant.Viewer.GetJsonAsync("api/v1/features/datasets/sales")).GetProperty("versions");
        versions.EnumerateArray().Select(v => (v.Number("version"), v.Number("rows"))).ShouldBe([(2, 4), (1, 3)]);
    }

    [Fact]
    public async Task Uploads_of_one_name_at_once_all_become_versions()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("sales");

        var answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(i => tenant.Developer.UploadAsync("sales", $"id,price\nH{i},{i}\n")));

        var versions = new List<long>();
        foreach (var answer in answers) versions.Add((await answer.ShouldBeAsync(201)).Number("version"));
        versions.Order().ShouldBe([2, 3, 4, 5, 6]);
    }

    [Fact]
    public async Task Bad_rows_are_set_aside_and_can_be_paged_through()
    {
        var tenant = await TestTenant.NewAsync();
        var csv = "id,price\n" + string.Concat(Enumerable.Range(0, 600).Select(i => $"H{i},{i}\n")) + "H600,cheap\nH601\n\"H602,1\nH603,inf\n";

        var uploaded = await tenant.HasDatasetAsync("sales", csv);

        (uploaded.Number("rows"), uploaded.Number("quarantined")).ShouldBe((600, 4));
        uploaded.GetProperty("firstFaults").GetArrayLength().ShouldBe(4);
        var page = await tenant.Viewer.GetJsonAsync("api/v1/features/datasets/sales/quarantine?offset=1&limit=2");
        page.Number("total").ShouldBe(4);
        page.GetProperty("rows").EnumerateArray().Select(r => $"{r.Number("line")}: {r.Text("reason")}, in: {r.Text("row")}").ShouldBe([
            "603: the row has 1 value and the header 2 columns, in: H601",
            "604: a quote is opened and never closed, in: \"H602,1",
        ]);
        var first = (await tenant.Viewer.GetJsonAsync("api/v1/features/datasets/sales/quarantine?limit=1")).GetProperty("rows")[0];
        (first.Number("line"), first.Text("column"), first.Text("reason")).ShouldBe((602, "price", "'cheap' is not a number"));
    }

    public static TheoryData<string, byte[], int, string, string> BadFiles => new()
    {
        { "nothing", [], 400, "empty-file", "file" },
        { "a header alone", "a,b\n"u8.ToArray(), 400, "empty-dataset", "file" },
        { "Windows-1252", Encoding.Latin1.GetBytes("city,price\nKöln,1\n"), 400, "not-utf-8", "file" },
        { "an Excel workbook", [0x50, 0x4B, 3, 4, 0xFF, 0xFE, 0, 1], 415, "not-csv", "file" },
        { "a name twice", "price,price\n1,2\n"u8.ToArray(), 400, "bad-column-names", "price" },
        { "no header", "1,2\n3,4\n"u8.ToArray(), 400, "missing-header", "file" },
        { "ragged rows throughout", "a,b\n1\n2\n3,4\n"u8.ToArray(), 400, "too-many-bad-rows", "file" },
        { "infinities throughout", "a,n\nx,1\ny,inf\nz,-inf\n"u8.ToArray(), 400, "too-many-bad-rows", "file" },
    };

    [Theory]
    [MemberData(nameof(BadFiles))]
    public async Task A_file_that_cannot_be_read_is_refused_with_field_and_mend_and_leaves_nothing_behind(string what, byte[] file, int status, string code, string field)
    {
        var tenant = await TestTenant.NewAsync();

        var problem = await (await tenant.Developer.UploadAsync("sales", file)).ShouldRefuseAsync(status, code);

        problem.Text("field").ShouldBe(field, what);
        problem.Text("mend").ShouldNotBeNullOrEmpty();
        (await tenant.Developer.GetJsonAsync("api/v1/features/datasets")).GetArrayLength().ShouldBe(0);
        tenant.Files().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_refusal_lists_the_first_twenty_bad_rows_with_their_lines()
    {
        var tenant = await TestTenant.NewAsync();

        var problem = await (await tenant.Developer.UploadAsync("sales", "a,b\n1,2\n" + string.Concat(Enumerable.Repeat("1\n", 30)))).ShouldRefuseAsync(400, "too-many-bad-rows");

        problem.GetProperty("errors").GetArrayLength().ShouldBe(20);
        problem.GetProperty("errors")[0].Text("detail").ShouldStartWith("Line 3:");
    }

    [Fact]
    public async Task A_refused_version_leaves_the_version_before_it()
    {
        var tenant = await TestTenant.NewAsync();
        var before = await tenant.HasDatasetAsync("sales");
        var files = tenant.Files();

        await (await tenant.Developer.UploadAsync("sales", "a\n")).ShouldRefuseAsync(400, "empty-dataset");

        (await tenant.Developer.GetJsonAsync("api/v1/features/datasets/sales")).GetRawText().ShouldBe(before.GetRawText());
        tenant.Files().ShouldBe(files, ignoreOrder: true);
    }

    [Theory]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/json")]
    [InlineData("multipart/form-data")]
    public async Task Another_kind_of_content_is_refused_with_how_to_send_it(string type)
    {
        var tenant = await TestTenant.NewAsync();

        var problem = await (await tenant.Developer.UploadAsync("sales", Encoding.UTF8.GetBytes(CsvCalls.Sales), type)).ShouldRefuseAsync(415, "unsupported-content");

        problem.Text("mend").ShouldContain("text/csv");
    }

    [Fact]
    public async Task A_form_without_a_file_is_refused()
    {
        var tenant = await TestTenant.NewAsync();
        using var form = new MultipartFormDataContent { { new StringContent("hello"), "note" } };

        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=sales", form)).ShouldRefuseAsync(400, "no-file");
    }

    [Fact]
    public async Task A_name_that_cannot_be_in_a_url_is_refused()
    {
        var tenant = await TestTenant.NewAsync();

        (await (await tenant.Developer.UploadAsync("My%20Sales", CsvCalls.Sales)).ShouldRefuseAsync(400, "invalid-field")).Text("field").ShouldBe("name");
    }

    [Fact]
    public async Task A_file_over_the_limit_is_refused_whether_or_not_its_length_is_told()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["PLATFORM_MAX_DATASET_BYTES"] = "2000000" });
        var tenant = await TestTenant.NewAsync(app);
        var csv = Encoding.UTF8.GetBytes("id,price\n" + string.Concat(Enumerable.Repeat("H1,1\n", 500_000)));

        await (await tenant.Developer.UploadAsync("told", csv)).ShouldRefuseAsync(413, "too-large");
        using var untold = new HttpRequestMessage(HttpMethod.Post, "api/v1/features/datasets?name=untold") { Content = new UntoldLength(csv) };
        untold.Headers.TransferEncodingChunked = true;
        (await (await tenant.Developer.SendAsync(untold)).ShouldRefuseAsync(413, "too-large")).Text("field").ShouldBe("file");

        await (await tenant.Developer.UploadAsync("within", csv[..1_999_999])).ShouldBeAsync(201);
        tenant.Files().ShouldHaveSingleItem();
    }

    [Fact]
    public async Task An_upload_that_breaks_off_leaves_nothing_behind()
    {
        var tenant = await TestTenant.NewAsync();

        await Should.ThrowAsync<HttpRequestException>(() => tenant.Developer.PostAsync("api/v1/features/datasets?name=sales", new BrokenOff(Encoding.UTF8.GetBytes(CsvCalls.Sales))));

        (await tenant.Developer.GetJsonAsync("api/v1/features/datasets")).GetArrayLength().ShouldBe(0);
        tenant.Files().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_viewer_may_look_and_not_upload()
    {
        var tenant = await TestTenant.NewAsync();

        await (await tenant.Viewer.UploadAsync("sales", CsvCalls.Sales)).ShouldRefuseAsync(403, "permission-missing");
    }

    /// <summary>Sent in chunks, so that the server learns the length by reading.</summary>
    private sealed class UntoldLength(byte[] content) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            Headers.ContentType = new MediaTypeHeaderValue("text/csv");
            await stream.WriteAsync(content);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }

    /// <summary>Promises more than it sends.</summary>
    private sealed class BrokenOff(byte[] content) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(content);
            await stream.FlushAsync();
            throw new IOException("The sender is gone.");
        }

        protected override bool TryComputeLength(out long length)
        {
            length = content.Length + 100;
            return true;
        }
    }
}
