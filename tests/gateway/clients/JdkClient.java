import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Iterator;
import java.util.stream.Stream;

/**
 * Posts each line of its input by the JDK's own client, set up as it comes: on http:// it offers HTTP/2 by an upgrade.
 *
 * <p>A line is JSON; with a tab and a text behind, the response is closed at the first line of its that holds the text.
 * What comes out: the status line, the headers, an empty line, the body's lines, and a line of one EOT.
 */
public final class JdkClient {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final PrintStream OUT = new PrintStream(System.out, true, UTF_8);

    public static void main(String[] args) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            String[] parts = line.split("\t");
            try {
                post(args[0], args[1], parts[0], parts.length > 1 ? parts[1] : null);
            } catch (IOException | UncheckedIOException error) {
                OUT.println("failed: " + error);
            }
            OUT.println("\u0004");
        }
    }

    private static void post(String url, String key, String body, String last) throws Exception {
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(url))
                        .header("Content-Type", "application/json")
                        .header("Authorization", "Bearer " + key)
                        .POST(HttpRequest.BodyPublishers.ofString(body))
                        .build();
        HttpResponse<Stream<String>> response = CLIENT.send(request, HttpResponse.BodyHandlers.ofLines());
        OUT.println(response.version() + " " + response.statusCode());
        response.headers().map().forEach((name, values) -> OUT.println(name + ": " + values.get(0)));
        OUT.println();
        try (Stream<String> lines = response.body()) { // closing it closes the connection where something is unread
            for (Iterator<String> each = lines.iterator(); each.hasNext(); ) {
                String line = each.next();
                OUT.println(line);
                if (last != null && line.contains(last)) {
                    return;
                }
            }
        }
    }
}
