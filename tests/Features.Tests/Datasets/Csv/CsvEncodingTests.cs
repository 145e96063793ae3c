using System.Text;

namespace Features.Tests.Datasets.Csv;

public class CsvEncodingTests
{
    private const string Csv = "city,price\nKöln,1\nŁódź,2\n東京,3\n🏠,4\n";

    [Fact]
    public void Utf8_reads_the_same_with_and_without_a_byte_order_mark()
    {
        var plain = ReadCsv.Of(Csv);
        var marked = ReadCsv.Of([.. Encoding.UTF8.Preamble, .. Encoding.UTF8.GetBytes(Csv)]);

        plain.Canonical.ShouldBe(Csv);
        marked.Content.ContentSha256.ShouldBe(plain.Content.ContentSha256);
        marked.Content.Columns[0].Name.ShouldBe("city");
    }

    [Fact]
    public void Utf16_with_a_byte_order_mark_is_converted()
    {
        foreach (var encoding in new[] { Encoding.Unicode, Encoding.BigEndianUnicode })
        {
            var read = ReadCsv.Of([.. encoding.Preamble, .. encoding.GetBytes(Csv)]);

            read.Canonical.ShouldBe(Csv);
            read.Content.Encoding.ShouldStartWith("utf-16");
        }
    }

    [Fact]
    public void A_windows_1252_file_is_refused_with_line_byte_and_mend()
    {
        var refusal = ReadCsv.Of(Encoding.Latin1.GetBytes("city,price\r\nBonn,1\r\nKöln,2\r\n")).Refusal;

        refusal.Code.ShouldBe("not-utf-8");
        refusal.Field.ShouldBe("file");
        refusal.Detail.ShouldBe("Line 3 holds the byte 0xF6, which is not UTF-8: byte 2 of that line, byte 22 of the file, both from 1.");
        refusal.Mend.ShouldNotBeNull().ShouldContain("UTF-8");
    }

    [Fact]
    public void The_line_and_byte_of_an_invalid_byte_are_right_far_into_a_file()
    {
        var good = Encoding.UTF8.GetBytes("name,price\n" + string.Concat(Enumerable.Range(0, 50_000).Select(i => $"Ö{i},€\r\n")));
        byte[] bad = [.. good, (byte)'a', 0xC3];

        var refusal = ReadCsv.Of(bad).Refusal;

        refusal.Detail.ShouldStartWith("Line 50002 holds the byte 0xC3");
        refusal.Detail.ShouldContain($"byte 2 of that line, byte {bad.Length} of the file");
    }

    [Fact]
    public void Broken_utf16_is_refused()
    {
        ReadCsv.Of([.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes("a,b\n1,2\n"), 0x00, 0xD8, 0x41, 0x00]).Refusal.Code.ShouldBe("not-utf-16");
    }

    [Fact]
    public void Utf16_without_a_byte_order_mark_is_refused_and_not_read_as_columns_full_of_NULs()
    {
        ReadCsv.Of(Encoding.Unicode.GetBytes("a,b\n1,2\n")).Refusal.Code.ShouldBe("not-text");
    }

    [Fact]
    public void Utf32_is_refused()
    {
        ReadCsv.Of([.. Encoding.UTF32.Preamble, .. Encoding.UTF32.GetBytes("a,b\n1,2\n")]).Refusal.Code.ShouldBe("not-utf-8");
    }

    [Fact]
    public void An_excel_workbook_is_called_what_it_is()
    {
        var refusal = ReadCsv.Of([0x50, 0x4B, 3, 4, 0x14, 0, 6, 0, 0xFF, 0x9C]).Refusal;

        refusal.Code.ShouldBe("not-csv");
        refusal.Detail.ShouldContain("Excel");
        refusal.Mend.ShouldNotBeNull().ShouldContain("CSV UTF-8");
    }
}
